//! A small tree for the answers of the Query protocol: elements with text or children, no mixed content. What is read is what is
//! written, but for white space between elements.

use quick_xml::Reader;
use quick_xml::escape::{escape, unescape};
use quick_xml::events::Event;

/// One element.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Element {
    /// Its name, with a namespace prefix if it had one.
    pub name: String,
    /// The `xmlns` it declares, on answers the API's own.
    pub namespace: Option<String>,
    /// Its text, unescaped; empty if it has children.
    pub text: String,
    /// Its children, in order.
    pub children: Vec<Element>,
}

/// Why bytes are not an answer.
#[derive(Debug, thiserror::Error)]
#[error("the upstream's answer is not XML: {0}")]
pub struct NotXml(String);

impl Element {
    /// An empty element.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// An element with text.
    pub fn text(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { name: name.into(), text: text.into(), ..Self::default() }
    }

    /// The same with one more child.
    #[must_use]
    pub fn with(mut self, child: Element) -> Self {
        self.children.push(child);
        self
    }

    /// The same with many more children.
    #[must_use]
    pub fn with_all(mut self, children: impl IntoIterator<Item = Element>) -> Self {
        self.children.extend(children);
        self
    }

    /// Reads one document.
    pub fn parse(document: &str) -> Result<Self, NotXml> {
        let broken = |error: &dyn std::fmt::Display| NotXml(error.to_string());
        let mut reader = Reader::from_str(document);
        // The document is the only child of an element without a name.
        let mut open = vec![Self::default()];
        loop {
            let event = reader.read_event().map_err(|error| broken(&error))?;
            match event {
                Event::Start(start) => open.push(started(&start)?),
                Event::Empty(start) => {
                    let element = started(&start)?;
                    adopt(&mut open, element)?;
                }
                Event::End(_) => {
                    let mut element = open.pop().ok_or_else(|| broken(&"an end without a start"))?;
                    if !element.children.is_empty() {
                        element.text.clear();
                    }
                    adopt(&mut open, element)?;
                }
                Event::Text(text) => push_text(&mut open, &text),
                Event::CData(data) => push_text(&mut open, &data),
                Event::GeneralRef(name) => {
                    let text = format!("&{};", &*name);
                    push_text(&mut open, &unescape(&text).map_err(|error| broken(&error))?);
                }
                Event::Eof => break,
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
            }
        }
        let root = open.pop().and_then(|mut root| root.children.pop());
        root.filter(|_| open.is_empty()).ok_or_else(|| broken(&"it ends inside an element"))
    }

    /// The document.
    pub fn document(&self) -> String {
        let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) {
        out.push('<');
        out.push_str(&self.name);
        if let Some(namespace) = &self.namespace {
            out.push_str(&format!(" xmlns=\"{}\"", escape(namespace.as_str())));
        }
        out.push('>');
        out.push_str(&escape(self.text.as_str()));
        self.children.iter().for_each(|child| child.write(out));
        out.push_str(&format!("</{}>", self.name));
    }

    /// The first child of this name.
    pub fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The first child of this name, to change it.
    pub fn child_mut(&mut self, name: &str) -> Option<&mut Element> {
        self.children.iter_mut().find(|child| child.name == name)
    }

    /// The element at the end of a path of first children.
    pub fn at(&self, path: &[&str]) -> Option<&Element> {
        path.iter().try_fold(self, |element, name| element.child(name))
    }

    /// The text at the end of a path.
    pub fn text_at(&self, path: &[&str]) -> Option<&str> {
        self.at(path).map(|element| element.text.as_str())
    }

    /// Puts this child in the place of the one of its name, or behind the others.
    pub fn set(&mut self, child: Element) {
        match self.child_mut(&child.name) {
            Some(existing) => *existing = child,
            None => self.children.push(child),
        }
    }

    /// Changes every text in the tree.
    pub fn map_text(&mut self, change: &impl Fn(&str) -> String) {
        if !self.text.is_empty() {
            self.text = change(&self.text);
        }
        self.children.iter_mut().for_each(|child| child.map_text(change));
    }
}

fn started(start: &quick_xml::events::BytesStart<'_>) -> Result<Element, NotXml> {
    let mut element = Element::new(start.name().as_ref());
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|error| NotXml(error.to_string()))?;
        if attribute.key.as_ref() == "xmlns" {
            element.namespace = Some(attribute.value.into_owned());
        }
    }
    Ok(element)
}

fn adopt(open: &mut [Element], child: Element) -> Result<(), NotXml> {
    open.last_mut().ok_or_else(|| NotXml("two documents in one".to_owned()))?.children.push(child);
    Ok(())
}

fn push_text(open: &mut [Element], text: &str) {
    if let Some(element) = open.last_mut() {
        element.text.push_str(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_comes_back_as_it_went() {
        let mut answer = Element::new("R").with(Element::text("Name", "a < b & \"c\"")).with(Element::new("Empty"));
        answer.namespace = Some("http://example/".to_owned());
        assert_eq!(Element::parse(&answer.document()).unwrap(), answer);
    }

    #[test]
    fn white_space_between_elements_is_nothing() {
        let answer = Element::parse("<R>\n  <A>x</A>\n  <B/>\n</R>").unwrap();
        assert_eq!(answer.text, "");
        assert_eq!(answer.text_at(&["A"]), Some("x"));
    }

    #[test]
    fn what_is_cut_off_is_not_an_answer() {
        assert!(Element::parse("<R><A>x</A>").is_err());
        assert!(Element::parse("").is_err());
    }
}
