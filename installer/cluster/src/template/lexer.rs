//! A template as tokens.

use super::{Mistake, shown};

/// What stands between two places of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// What is printed as it stands.
    Text(&'a str),
    /// `{{`
    Open,
    /// `}}`
    Close,
    /// A keyword, a function, `true` or `false`.
    Word(&'a str),
    /// `.`, `.A.B`, `$`, `$x.A`.
    Path { variable: Option<&'a str>, fields: Vec<&'a str> },
    /// `"text"` or `` `text` ``
    Quoted(String),
    /// `12`, `-3`
    Number(i64),
    /// `(`
    Left,
    /// `)`
    Right,
    /// `,`
    Comma,
    /// `:=`
    Declare,
}

/// A token and its first byte.
pub(super) type Placed<'a> = (usize, Token<'a>);

const SPACES: [char; 4] = [' ', '\t', '\r', '\n'];

/// Takes a template apart.
pub(super) fn tokens(text: &str) -> Result<Vec<Placed<'_>>, Mistake> {
    let mut lexer = Lexer { text, at: 0, tokens: Vec::new() };
    lexer.run()?;
    Ok(lexer.tokens)
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    tokens: Vec<Placed<'a>>,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn run(&mut self) -> Result<(), Mistake> {
        loop {
            let start = self.at;
            let rest = self.rest();
            let Some(length) = rest.find("{{") else {
                self.push_text(start, rest);
                return Ok(());
            };
            let open = start + length;
            self.at = open + 2;
            let mut before = &rest[..length];
            // The mark is a dash with a blank beside it: `{{-3}}` is a number.
            if self.rest().strip_prefix('-').is_some_and(|rest| rest.starts_with(SPACES)) {
                before = before.trim_end_matches(SPACES);
                self.at += 2;
            }
            self.push_text(start, before);
            if self.rest().starts_with("/*") {
                self.comment(open)?;
            } else {
                self.tokens.push((open, Token::Open));
                self.action(open)?;
            }
        }
    }

    fn push_text(&mut self, at: usize, text: &'a str) {
        if !text.is_empty() {
            self.tokens.push((at, Token::Text(text)));
        }
    }

    fn comment(&mut self, open: usize) -> Result<(), Mistake> {
        let Some(length) = self.rest().find("*/") else {
            return Err(Mistake::new(open, "the comment has no end, `*/}}`"));
        };
        self.at += length + 2;
        if self.close() {
            return Ok(());
        }
        Err(Mistake::new(self.at, "a comment stands alone: after its `*/` comes `}}` or ` -}}`"))
    }

    /// Goes behind `}}` or ` -}}`, if that is what comes.
    fn close(&mut self) -> bool {
        if self.rest().starts_with("}}") {
            self.at += 2;
            return true;
        }
        let trims = self.rest().strip_prefix(SPACES).is_some_and(|rest| rest.starts_with("-}}"));
        if trims {
            self.at += 4;
            self.at += self.rest().len() - self.rest().trim_start_matches(SPACES).len();
        }
        trims
    }

    fn action(&mut self, open: usize) -> Result<(), Mistake> {
        loop {
            let start = self.at;
            if self.close() {
                self.tokens.push((start, Token::Close));
                return Ok(());
            }
            let Some(first) = self.rest().chars().next() else {
                return Err(Mistake::new(open, "this `{{` has no `}}`"));
            };
            if SPACES.contains(&first) {
                self.at += 1;
                continue;
            }
            let token = self.token(first)?;
            // As in Go there is a blank between two values.
            let is_value = !matches!(token, Token::Left | Token::Comma | Token::Declare);
            let next = self.rest().chars().next();
            let ends = next.is_none_or(|next| SPACES.contains(&next) || ",|:=)".contains(next));
            if is_value && !ends && !self.rest().starts_with("}}") {
                let text = shown(&self.text[start..self.at]);
                return Err(Mistake::new(self.at, format!("after `{text}` there is no blank")));
            }
            self.tokens.push((start, token));
        }
    }

    fn token(&mut self, first: char) -> Result<Token<'a>, Mistake> {
        let start = self.at;
        Ok(match first {
            '(' | ')' | ',' => {
                self.at += 1;
                match first {
                    '(' => Token::Left,
                    ')' => Token::Right,
                    _ => Token::Comma,
                }
            }
            ':' if self.rest().starts_with(":=") => {
                self.at += 2;
                Token::Declare
            }
            '"' => self.quoted()?,
            '`' => self.raw()?,
            '$' => {
                self.at += 1;
                let variable = self.name();
                Token::Path { variable: Some(variable), fields: self.fields() }
            }
            '.' => self.path()?,
            '0'..='9' | '+' | '-' => self.number()?,
            '|' => {
                return Err(Mistake::new(
                    start,
                    "`|` is not supported here: write the function first, `not .A`",
                ));
            }
            '=' => return Err(Mistake::new(start, "variables cannot be set here")),
            first if is_letter(first) => Token::Word(self.name()),
            _ => {
                let text = shown(&first.to_string());
                return Err(Mistake::new(start, format!("`{text}` means nothing here")));
            }
        })
    }

    /// Letters, digits and underscores, as far as they go.
    fn name(&mut self) -> &'a str {
        let rest = self.rest();
        let is_end = |letter: char| !is_letter(letter) && !letter.is_alphanumeric();
        let name = &rest[..rest.find(is_end).unwrap_or(rest.len())];
        self.at += name.len();
        name
    }

    fn path(&mut self) -> Result<Token<'a>, Mistake> {
        let next = self.rest().chars().nth(1);
        if next.is_some_and(|next| next.is_ascii_digit()) {
            return Err(Mistake::new(self.at, "numbers are whole here"));
        }
        if next.is_some_and(is_letter) {
            return Ok(Token::Path { variable: None, fields: self.fields() });
        }
        self.at += 1;
        Ok(Token::Path { variable: None, fields: Vec::new() })
    }

    fn fields(&mut self) -> Vec<&'a str> {
        let mut fields = Vec::new();
        while self.rest().strip_prefix('.').and_then(|rest| rest.chars().next()).is_some_and(is_letter) {
            self.at += 1;
            fields.push(self.name());
        }
        fields
    }

    fn number(&mut self) -> Result<Token<'a>, Mistake> {
        let (start, rest) = (self.at, self.rest());
        let is_end = |letter: char| !letter.is_ascii_digit();
        let digits = rest.strip_prefix(['+', '-']).unwrap_or(rest);
        let length = rest.len() - digits.len() + digits.find(is_end).unwrap_or(digits.len());
        self.at += length;
        // To Go a zero in front means another base.
        let has_base = digits.starts_with('0') && digits[1..].starts_with(|next: char| next.is_ascii_digit());
        match rest[..length].parse() {
            Ok(number) if !has_base => Ok(Token::Number(number)),
            _ => Err(Mistake::new(start, format!("`{}` is no decimal number", shown(&rest[..length])))),
        }
    }

    fn raw(&mut self) -> Result<Token<'a>, Mistake> {
        let rest = &self.rest()[1..];
        let Some(length) = rest.find('`') else {
            return Err(Mistake::new(self.at, "the text has no end, a second `"));
        };
        self.at += length + 2;
        // Go's scanner of raw texts leaves carriage returns out.
        Ok(Token::Quoted(rest[..length].replace('\r', "")))
    }

    fn quoted(&mut self) -> Result<Token<'a>, Mistake> {
        let start = self.at;
        let mut text = String::new();
        let mut letters = self.rest().char_indices().skip(1);
        while let Some((index, letter)) = letters.next() {
            match letter {
                '"' => {
                    self.at = start + index + 1;
                    return Ok(Token::Quoted(text));
                }
                '\n' => break,
                '\\' => {
                    let wrong = || {
                        let why = "this escape is not known; there are \\n, \\t, \\r, \\\\, \\\" and \\u1234";
                        Mistake::new(start + index, why)
                    };
                    match letters.next().map(|(_, letter)| letter).ok_or_else(wrong)? {
                        'n' => text.push('\n'),
                        't' => text.push('\t'),
                        'r' => text.push('\r'),
                        '\\' => text.push('\\'),
                        '"' => text.push('"'),
                        'u' => {
                            let digits: String = letters.by_ref().take(4).map(|(_, digit)| digit).collect();
                            let is_hex =
                                digits.len() == 4 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
                            let code = u32::from_str_radix(&digits, 16).ok().filter(|_| is_hex);
                            text.push(code.and_then(char::from_u32).ok_or_else(wrong)?);
                        }
                        _ => return Err(wrong()),
                    }
                }
                letter => text.push(letter),
            }
        }
        Err(Mistake::new(start, "the text has no end, a second \" on the same line"))
    }
}

fn is_letter(letter: char) -> bool {
    letter == '_' || letter.is_alphabetic()
}
