//! The tokens of a template as a tree.

use super::lexer::{Placed, Token};
use super::{Mistake, Value, shown};

/// Nothing is nested deeper.
const MAX_DEPTH: usize = 32;

/// A piece of a template.
#[derive(Debug)]
pub(super) enum Node<'a> {
    /// What is printed as it stands.
    Text(&'a str),
    /// A value that is printed.
    Print(Expr<'a>),
    /// The first branch whose condition is true, or else another one.
    If { branches: Vec<(Expr<'a>, Vec<Node<'a>>)>, otherwise: Vec<Node<'a>> },
    /// With a value as the dot, if it is true.
    With { value: Expr<'a>, body: Vec<Node<'a>>, otherwise: Vec<Node<'a>> },
    /// With each value of a list as the dot.
    Range(Range<'a>),
}

/// A loop.
#[derive(Debug)]
pub(super) struct Range<'a> {
    /// The variable that counts from 0 on, or that is the name of each.
    pub(super) index: Option<&'a str>,
    /// The variable that is each.
    pub(super) item: Option<&'a str>,
    pub(super) list: Expr<'a>,
    pub(super) body: Vec<Node<'a>>,
    /// What is done with an empty list.
    pub(super) otherwise: Vec<Node<'a>>,
}

/// What has a value, and its first byte.
#[derive(Debug)]
pub(super) struct Expr<'a> {
    pub(super) at: usize,
    pub(super) kind: ExprKind<'a>,
}

#[derive(Debug)]
pub(super) enum ExprKind<'a> {
    Path { variable: Option<&'a str>, fields: Vec<&'a str> },
    Literal(Value),
    Call { function: Function, arguments: Vec<Expr<'a>> },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    And,
    Or,
    Not,
    Eq,
    Ne,
}

impl Function {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "and" => Self::And,
            "or" => Self::Or,
            "not" => Self::Not,
            "eq" => Self::Eq,
            "ne" => Self::Ne,
            _ => return None,
        })
    }

    /// How many values it takes, at least and at most.
    fn takes(self) -> (usize, usize) {
        match self {
            Self::And | Self::Or => (1, usize::MAX),
            Self::Not => (1, 1),
            Self::Eq => (2, usize::MAX),
            Self::Ne => (2, 2),
        }
    }
}

/// What ended a list of nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Eof,
    Else,
    End,
}

/// Puts tokens together; `end` is where the template ends.
pub(super) fn parse(tokens: Vec<Placed<'_>>, end: usize) -> Result<Vec<Node<'_>>, Mistake> {
    let mut parser = Parser { tokens, next: 0, end, variables: vec![""] };
    let (nodes, ending, at) = parser.nodes(0)?;
    match ending {
        Ending::Eof => Ok(nodes),
        Ending::Else => Err(Mistake::new(at, "`else` without an `if`, `with` or `range`")),
        Ending::End => Err(Mistake::new(at, "`end` without an `if`, `with` or `range`")),
    }
}

struct Parser<'a> {
    tokens: Vec<Placed<'a>>,
    /// Which of them comes next.
    next: usize,
    end: usize,
    /// Those that can be used, the newest last; the first is the dot of the beginning, `$`.
    variables: Vec<&'a str>,
}

impl<'a> Parser<'a> {
    /// The token that comes so many after the next.
    fn peek(&self, ahead: usize) -> Option<&Token<'a>> {
        self.tokens.get(self.next + ahead).map(|(_, token)| token)
    }

    fn at(&self) -> usize {
        self.tokens.get(self.next).map_or(self.end, |(at, _)| *at)
    }

    fn take(&mut self) -> Option<Placed<'a>> {
        let token = self.tokens.get(self.next).cloned();
        self.next += 1;
        token
    }

    fn is_next(&mut self, token: &Token<'a>) -> bool {
        let is_next = self.peek(0) == Some(token);
        self.next += usize::from(is_next);
        is_next
    }

    /// Up to `else`, `end` or the end of the template; returns where that is, behind `{{`. Of `else` the word alone is
    /// taken, of `end` all.
    fn nodes(&mut self, depth: usize) -> Result<(Vec<Node<'a>>, Ending, usize), Mistake> {
        if depth > MAX_DEPTH {
            let why = format!("more than {MAX_DEPTH} are nested in each other");
            return Err(Mistake::new(self.at(), why));
        }
        let mut nodes = Vec::new();
        while let Some((at, token)) = self.take() {
            match token {
                Token::Text(text) => nodes.push(Node::Text(text)),
                _ => match self.peek(0) {
                    Some(Token::Word("else")) => {
                        self.next += 1;
                        return Ok((nodes, Ending::Else, at));
                    }
                    Some(Token::Word("end")) => {
                        self.next += 1;
                        self.close("`end`")?;
                        return Ok((nodes, Ending::End, at));
                    }
                    Some(Token::Word("if")) => nodes.push(self.condition(at, depth)?),
                    Some(Token::Word("with")) => nodes.push(self.with(at, depth)?),
                    Some(Token::Word("range")) => nodes.push(self.range(at, depth)?),
                    _ => nodes.push(Node::Print(self.pipeline("a value", depth)?)),
                },
            }
        }
        Ok((nodes, Ending::Eof, self.end))
    }

    fn condition(&mut self, open: usize, depth: usize) -> Result<Node<'a>, Mistake> {
        self.next += 1;
        let mut branches = Vec::new();
        loop {
            let condition = self.pipeline("the condition of `if`", depth)?;
            let (body, ending, _) = self.nodes(depth + 1)?;
            branches.push((condition, body));
            match ending {
                Ending::Else if self.is_next(&Token::Word("if")) => {}
                Ending::Else => {
                    let otherwise = self.otherwise(open, "if", depth)?;
                    return Ok(Node::If { branches, otherwise });
                }
                Ending::End => return Ok(Node::If { branches, otherwise: Vec::new() }),
                Ending::Eof => return Err(no_end(open, "if")),
            }
        }
    }

    fn with(&mut self, open: usize, depth: usize) -> Result<Node<'a>, Mistake> {
        self.next += 1;
        let value = self.pipeline("the value of `with`", depth)?;
        let (body, ending, _) = self.nodes(depth + 1)?;
        let otherwise = self.rest(open, "with", ending, depth)?;
        Ok(Node::With { value, body, otherwise })
    }

    fn range(&mut self, open: usize, depth: usize) -> Result<Node<'a>, Mistake> {
        self.next += 1;
        let (index, item) = self.declared();
        let list = self.pipeline("the list of `range`", depth)?;
        let outer = self.variables.len();
        self.variables.extend(index.into_iter().chain(item));
        let (body, ending, _) = self.nodes(depth + 1)?;
        self.variables.truncate(outer);
        let otherwise = self.rest(open, "range", ending, depth)?;
        Ok(Node::Range(Range { index, item, list, body, otherwise }))
    }

    /// `$item :=` or `$index, $item :=`, if that is what comes.
    fn declared(&mut self) -> (Option<&'a str>, Option<&'a str>) {
        let variable = |ahead| match self.peek(ahead) {
            Some(Token::Path { variable: Some(name), fields }) if fields.is_empty() && !name.is_empty() => {
                Some(*name)
            }
            _ => None,
        };
        let (taken, declared) = match (variable(0), self.peek(1), variable(2), self.peek(3)) {
            (item @ Some(_), Some(Token::Declare), ..) => (2, (None, item)),
            (index @ Some(_), Some(Token::Comma), item @ Some(_), Some(Token::Declare)) => (4, (index, item)),
            _ => (0, (None, None)),
        };
        self.next += taken;
        declared
    }

    /// What comes after a body that has no `else if`.
    fn rest(
        &mut self,
        open: usize,
        word: &str,
        ending: Ending,
        depth: usize,
    ) -> Result<Vec<Node<'a>>, Mistake> {
        match ending {
            Ending::End => Ok(Vec::new()),
            Ending::Else => self.otherwise(open, word, depth),
            Ending::Eof => Err(no_end(open, word)),
        }
    }

    /// From behind the word `else` to the `end`.
    fn otherwise(&mut self, open: usize, word: &str, depth: usize) -> Result<Vec<Node<'a>>, Mistake> {
        self.close("`else`")?;
        let (nodes, ending, at) = self.nodes(depth + 1)?;
        match ending {
            Ending::End => Ok(nodes),
            Ending::Else => Err(Mistake::new(at, format!("a second `else` of one `{word}`"))),
            Ending::Eof => Err(no_end(open, word)),
        }
    }

    fn close(&mut self, after: &str) -> Result<(), Mistake> {
        let at = self.at();
        if self.is_next(&Token::Close) {
            Ok(())
        } else {
            Err(Mistake::new(at, format!("{after} stands alone")))
        }
    }

    /// A value or a call, up to the `}}`.
    fn pipeline(&mut self, what: &str, depth: usize) -> Result<Expr<'a>, Mistake> {
        let expr = self.command(what, depth)?;
        match self.take() {
            Some((_, Token::Close)) => Ok(expr),
            Some((at, Token::Right)) => Err(Mistake::new(at, "a `)` without its `(`")),
            Some((at, Token::Declare | Token::Comma)) => {
                Err(Mistake::new(at, "only `range` makes variables here: `{{range $index, $item := .List}}`"))
            }
            Some((at, _)) => Err(Mistake::new(at, "what takes values is a function, such as `eq`")),
            None => Err(Mistake::new(self.end, "`}}` is missing")),
        }
    }

    fn command(&mut self, what: &str, depth: usize) -> Result<Expr<'a>, Mistake> {
        let at = self.at();
        let function = match self.peek(0) {
            Some(Token::Word(name)) => Function::named(name).map(|function| (*name, function)),
            _ => None,
        };
        let Some((name, function)) = function else { return self.operand(what, depth) };
        self.next += 1;
        let mut arguments = Vec::new();
        while self.peek(0).is_some_and(|token| *token != Token::Close && *token != Token::Right) {
            arguments.push(self.operand("a value", depth)?);
        }
        let (least, most) = function.takes();
        if !(least..=most).contains(&arguments.len()) {
            let takes = if most == usize::MAX { format!("{least} or more") } else { least.to_string() };
            let why = format!("`{name}` takes {takes} values, and has {}", arguments.len());
            return Err(Mistake::new(at, why));
        }
        Ok(Expr { at, kind: ExprKind::Call { function, arguments } })
    }

    fn operand(&mut self, what: &str, depth: usize) -> Result<Expr<'a>, Mistake> {
        if depth > MAX_DEPTH {
            let why = format!("more than {MAX_DEPTH} are nested in each other");
            return Err(Mistake::new(self.at(), why));
        }
        let Some((at, token)) = self.take() else {
            return Err(Mistake::new(self.end, format!("{what} is missing")));
        };
        let kind = match token {
            Token::Path { variable, fields } => {
                if let Some(name) = variable.filter(|name| !self.variables.contains(name)) {
                    return Err(Mistake::new(at, format!("there is no variable `${}`", shown(name))));
                }
                ExprKind::Path { variable, fields }
            }
            Token::Quoted(text) => ExprKind::Literal(Value::Text(text)),
            Token::Number(number) => ExprKind::Literal(Value::Int(number)),
            Token::Word("true") => ExprKind::Literal(Value::Bool(true)),
            Token::Word("false") => ExprKind::Literal(Value::Bool(false)),
            Token::Word(name) if Function::named(name).is_some() => {
                let why = format!("`{name}` within another function stands in parentheses: `({name} ..)`");
                return Err(Mistake::new(at, why));
            }
            Token::Word(name) => {
                let why = format!("`{}` is not known; functions are and, or, not, eq and ne", shown(name));
                return Err(Mistake::new(at, why));
            }
            Token::Left => {
                let inner = self.command("a value", depth + 1)?;
                let end = self.at();
                if !self.is_next(&Token::Right) {
                    return Err(Mistake::new(end, "a `)` is missing"));
                }
                return Ok(inner);
            }
            _ => return Err(Mistake::new(at, format!("{what} is missing"))),
        };
        Ok(Expr { at, kind })
    }
}

fn no_end(open: usize, word: &str) -> Mistake {
    Mistake::new(open, format!("this `{word}` has no `{{{{end}}}}`"))
}
