//! A template and values as a text.

use std::borrow::Cow;

use super::parser::{Expr, ExprKind, Function, Node, Range};
use super::{Error, MAX_TEMPLATE_BYTES, Mistake, Value, lexer, parser, shown};

/// No text is longer, in bytes.
const MAX_OUTPUT_BYTES: usize = 4 << 20;

/// No more pieces are looked at: a loop in a loop in a loop may print nothing and never end.
const MAX_PIECES: usize = 1_000_000;

/// The text of a template, in which `.` and `$` are `data`.
pub fn render(template: &str, data: &Value) -> Result<String, Error> {
    let rendered = || {
        if template.len() > MAX_TEMPLATE_BYTES {
            let why = format!("the template is longer than {} KiB", MAX_TEMPLATE_BYTES >> 10);
            return Err(Mistake::new(0, why));
        }
        let nodes = parser::parse(lexer::tokens(template)?, template.len())?;
        let mut run = Run { text: String::new(), pieces: 0, variables: vec![("", Cow::Borrowed(data))] };
        run.nodes(&nodes, &Cow::Borrowed(data))?;
        Ok(run.text)
    };
    rendered().map_err(|mistake| mistake.in_text(template))
}

/// A value of the data or of the template, or one that was computed.
type Known<'v> = Cow<'v, Value>;

struct Run<'v> {
    text: String,
    pieces: usize,
    /// The newest last; the first is `$`.
    variables: Vec<(&'v str, Known<'v>)>,
}

impl<'v> Run<'v> {
    fn nodes(&mut self, nodes: &'v [Node<'v>], dot: &Known<'v>) -> Result<(), Mistake> {
        for node in nodes {
            match node {
                Node::Text(text) => self.print(0, text)?,
                Node::Print(expr) => {
                    let value = self.value(expr, dot)?;
                    self.print(expr.at, &value.to_string())?;
                }
                Node::If { branches, otherwise } => {
                    let mut chosen = otherwise;
                    for (condition, body) in branches {
                        if self.value(condition, dot)?.is_true() {
                            chosen = body;
                            break;
                        }
                    }
                    self.nodes(chosen, dot)?;
                }
                Node::With { value, body, otherwise } => {
                    let value = self.value(value, dot)?;
                    if value.is_true() { self.nodes(body, &value)? } else { self.nodes(otherwise, dot)? }
                }
                Node::Range(range) => self.range(range, dot)?,
            }
        }
        Ok(())
    }

    fn range(&mut self, range: &'v Range<'v>, dot: &Known<'v>) -> Result<(), Mistake> {
        let list = self.value(&range.list, dot)?;
        let items: Vec<(Known<'v>, Known<'v>)> = match &list {
            Cow::Borrowed(Value::List(values)) => {
                let indices = (0..).map(|index| Cow::Owned(Value::Int(index)));
                indices.zip(values.iter().map(Cow::Borrowed)).collect()
            }
            Cow::Borrowed(Value::Map(values)) => {
                let item = |(name, value): (&String, &'v Value)| {
                    (Cow::Owned(Value::Text(name.clone())), Cow::Borrowed(value))
                };
                values.iter().map(item).collect()
            }
            other => {
                let why = format!("`range` goes over a list, and this is {}", other.kind());
                return Err(Mistake::new(range.list.at, why));
            }
        };
        if items.is_empty() {
            return self.nodes(&range.otherwise, dot);
        }
        let outer = self.variables.len();
        for (index, item) in items {
            self.count(range.list.at)?;
            self.variables.extend(range.index.map(|name| (name, index)));
            self.variables.extend(range.item.map(|name| (name, item.clone())));
            self.nodes(&range.body, &item)?;
            self.variables.truncate(outer);
        }
        Ok(())
    }

    fn count(&mut self, at: usize) -> Result<(), Mistake> {
        self.pieces += 1;
        if self.pieces > MAX_PIECES {
            return Err(Mistake::new(at, format!("it comes to more than {MAX_PIECES} pieces")));
        }
        Ok(())
    }

    fn print(&mut self, at: usize, text: &str) -> Result<(), Mistake> {
        self.count(at)?;
        if self.text.len() + text.len() > MAX_OUTPUT_BYTES {
            return Err(Mistake::new(at, format!("it comes to more than {} KiB", MAX_OUTPUT_BYTES >> 10)));
        }
        self.text.push_str(text);
        Ok(())
    }

    fn value(&mut self, expr: &'v Expr<'v>, dot: &Known<'v>) -> Result<Known<'v>, Mistake> {
        self.count(expr.at)?;
        match &expr.kind {
            ExprKind::Literal(value) => Ok(Cow::Borrowed(value)),
            ExprKind::Path { variable, fields } => {
                let begin = match variable {
                    None => dot.clone(),
                    Some(name) => {
                        let known = self.variables.iter().rev().find(|(known, _)| known == name);
                        known.map_or_else(|| dot.clone(), |(_, value)| value.clone())
                    }
                };
                fields.iter().try_fold(begin, |value, name| field(expr.at, &value, name))
            }
            ExprKind::Call { function, arguments } => self.call(*function, expr.at, arguments, dot),
        }
    }

    fn call(
        &mut self,
        function: Function,
        at: usize,
        arguments: &'v [Expr<'v>],
        dot: &Known<'v>,
    ) -> Result<Known<'v>, Mistake> {
        let mut values = Vec::new();
        for argument in arguments {
            let value = self.value(argument, dot)?;
            // As in Go since 1.18 the first that decides is the last that is looked at.
            let decides = match function {
                Function::And => !value.is_true(),
                Function::Or => value.is_true(),
                _ => false,
            };
            values.push(value);
            if decides {
                break;
            }
        }
        let is = match (function, values.as_slice()) {
            (Function::And | Function::Or, _) => {
                return values.pop().ok_or_else(|| Mistake::new(at, "values are missing"));
            }
            (Function::Not, [value, ..]) => !value.is_true(),
            (Function::Eq, [first, others @ ..]) => {
                let mut is = false;
                for (other, argument) in others.iter().zip(&arguments[1..]) {
                    is |= equal(argument.at, first, other)?;
                    if is {
                        break;
                    }
                }
                is
            }
            (Function::Ne, [first, second, ..]) => !equal(arguments[1].at, first, second)?,
            _ => return Err(Mistake::new(at, "values are missing")),
        };
        Ok(Cow::Owned(Value::Bool(is)))
    }
}

fn field<'v>(at: usize, value: &Known<'v>, name: &str) -> Result<Known<'v>, Mistake> {
    let Value::Map(known) = &**value else {
        let why =
            format!("`.{}` is a part of a group of variables, and this is {}", shown(name), value.kind());
        return Err(Mistake::new(at, why));
    };
    let missing = || {
        let names: Vec<_> = known.keys().map(|name| format!(".{name}")).collect();
        let why = format!("there is no variable `.{}`; there are {}", shown(name), names.join(", "));
        Mistake::new(at, why)
    };
    match value {
        Cow::Borrowed(Value::Map(known)) => known.get(name).map(Cow::Borrowed),
        _ => known.get(name).cloned().map(Cow::Owned),
    }
    .ok_or_else(missing)
}

fn equal(at: usize, first: &Value, other: &Value) -> Result<bool, Mistake> {
    match (first, other) {
        (Value::Text(_), Value::Text(_))
        | (Value::Bool(_), Value::Bool(_))
        | (Value::Int(_), Value::Int(_)) => Ok(first == other),
        _ => {
            let why = format!("{} and {} cannot be compared", first.kind(), other.kind());
            Err(Mistake::new(at, why))
        }
    }
}
