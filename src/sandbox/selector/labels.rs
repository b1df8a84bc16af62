//! The language of label selectors, `k8s.io/apimachinery/pkg/labels/selector.go`: its tokens, its grammar, and its words about what is
//! wrong.

use super::super::metadata::is_qualified;
use super::{Requirement, Wants};

/// All requirements of a selector, or what is wrong with it.
pub(super) fn parse(text: &str) -> Result<Vec<Requirement>, String> {
    let mut parser = Parser { tokens: tokens(text), at: 0 };
    let mut requirements = Vec::new();
    loop {
        match parser.next_value() {
            Token::Word(_) | Token::Not => {
                requirements.push(parser.requirement().map_err(|why| format!("unable to parse requirement: {why}"))?);
                match parser.take_value() {
                    Token::End => return Ok(requirements),
                    Token::Comma => match parser.next_value() {
                        Token::Word(_) | Token::Not => {}
                        other => return Err(format!("found '{}', expected: identifier after ','", other.text())),
                    },
                    other => return Err(format!("found '{}', expected: ',' or 'end of string'", other.text())),
                }
            }
            Token::End => return Ok(requirements),
            other => return Err(format!("found '{}', expected: !, identifier, or 'end of string'", other.text())),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    /// A key, a value, or one of `in` and `notin`, which mean an operator only where one is expected.
    Word(String),
    /// `=`, `==`, `!=`, `<`, `>`.
    Operator(&'static str),
    Not,
    Open,
    Close,
    Comma,
    End,
    /// Nothing that there is.
    Wrong(String),
}

impl Token {
    fn text(&self) -> &str {
        match self {
            Self::Word(text) | Self::Wrong(text) => text,
            Self::Operator(text) => text,
            Self::Not => "!",
            Self::Open => "(",
            Self::Close => ")",
            Self::Comma => ",",
            Self::End => "",
        }
    }
}

fn is_special(letter: char) -> bool {
    "=!(),><".contains(letter)
}

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start_matches(is_blank);
    while let Some(first) = rest.chars().next() {
        let (token, length) = if is_special(first) {
            special(rest)
        } else {
            let length = rest.find(|letter| is_special(letter) || is_blank(letter)).unwrap_or(rest.len());
            (Token::Word(rest.get(..length).unwrap_or_default().to_owned()), length)
        };
        tokens.push(token);
        rest = rest.get(length..).unwrap_or_default().trim_start_matches(is_blank);
    }
    tokens
}

fn is_blank(letter: char) -> bool {
    matches!(letter, ' ' | '\t' | '\r' | '\n')
}

/// The longest operator that stands here.
fn special(text: &str) -> (Token, usize) {
    for (symbol, token) in [
        ("==", Token::Operator("==")),
        ("!=", Token::Operator("!=")),
        ("=", Token::Operator("=")),
        (">", Token::Operator(">")),
        ("<", Token::Operator("<")),
        ("!", Token::Not),
        ("(", Token::Open),
        (")", Token::Close),
        (",", Token::Comma),
    ] {
        if text.starts_with(symbol) {
            return (token, symbol.len());
        }
    }
    (Token::Wrong(text.to_owned()), text.len())
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
}

impl Parser {
    fn next_value(&self) -> Token {
        self.tokens.get(self.at).cloned().unwrap_or(Token::End)
    }

    fn take_value(&mut self) -> Token {
        let token = self.next_value();
        self.at += 1;
        token
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        let first = self.take_value();
        let (missing, key) = if first == Token::Not { (true, self.take_value()) } else { (false, first) };
        let Token::Word(key) = key else {
            return Err(format!("found '{}', expected: identifier", key.text()));
        };
        check_key(&key)?;
        let alone = matches!(self.next_value(), Token::End | Token::Comma);
        if missing || alone {
            return Ok(Requirement { key, wants: if missing { Wants::Missing } else { Wants::Exists } });
        }
        let operator = self.take_value();
        let wants = match (&operator, operator.text()) {
            (Token::Word(_), "in") => Wants::In(self.values()?),
            (Token::Word(_), "notin") => Wants::NotIn(self.values()?),
            (Token::Operator(_), "=" | "==") => Wants::In(vec![self.value()?]),
            (Token::Operator(_), "!=") => Wants::NotIn(vec![self.value()?]),
            (Token::Operator(_), ">") => Wants::Above(number(&self.value()?)?),
            (Token::Operator(_), "<") => Wants::Below(number(&self.value()?)?),
            (_, other) => return Err(format!("found '{other}', expected: in, notin, =, ==, !=, gt, lt")),
        };
        if let Wants::In(values) | Wants::NotIn(values) = &wants {
            values.iter().enumerate().try_for_each(|(index, value)| check_value(&key, index, value))?;
        }
        Ok(Requirement { key, wants })
    }

    fn value(&mut self) -> Result<String, String> {
        if matches!(self.next_value(), Token::End | Token::Comma) {
            return Ok(String::new());
        }
        match self.take_value() {
            Token::Word(value) => Ok(value),
            other => Err(format!("found '{}', expected: identifier", other.text())),
        }
    }

    /// A set in parentheses. A comma with nothing beside it stands for an empty value.
    fn values(&mut self) -> Result<Vec<String>, String> {
        let open = self.take_value();
        if open != Token::Open {
            return Err(format!("found '{}' expected: '('", open.text()));
        }
        let mut values = Vec::new();
        match self.next_value() {
            Token::Word(_) | Token::Comma => {}
            Token::Close => {
                self.at += 1;
                return Ok(vec![String::new()]);
            }
            other => return Err(format!("found '{}', expected: ',', ')' or identifier", other.text())),
        }
        loop {
            match self.take_value() {
                Token::Word(value) => {
                    values.push(value);
                    match self.next_value() {
                        Token::Comma => {}
                        Token::Close => break,
                        other => return Err(format!("found '{}', expected: ',' or ')'", other.text())),
                    }
                }
                Token::Comma => {
                    if values.is_empty() {
                        values.push(String::new());
                    }
                    match self.next_value() {
                        Token::Close => {
                            values.push(String::new());
                            break;
                        }
                        Token::Comma => {
                            self.at += 1;
                            values.push(String::new());
                        }
                        _ => {}
                    }
                }
                other => return Err(format!("found '{}', expected: ',', or identifier", other.text())),
            }
        }
        self.at += 1; // the parenthesis
        values.sort();
        values.dedup();
        Ok(values)
    }
}

fn number(value: &str) -> Result<i64, String> {
    let why = "for 'Gt', 'Lt' operators, the value must be an integer";
    value.parse().map_err(|_| format!("values[0]: Invalid value: {value:?}: {why}"))
}

fn check_key(key: &str) -> Result<(), String> {
    if is_qualified(key) {
        return Ok(());
    }
    Err(format!(
        "key: Invalid value: {key:?}: name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with \
         an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
         '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
    ))
}

fn check_value(key: &str, index: usize, value: &str) -> Result<(), String> {
    if value.is_empty() || (is_qualified(value) && !value.contains('/')) {
        return Ok(());
    }
    let at = format!("values[{index}][{key}]: Invalid value: {value:?}");
    if value.len() > 63 {
        return Err(format!("{at}: must be no more than 63 bytes"));
    }
    Err(format!(
        "{at}: a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end \
         with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is \
         '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
    ))
}
