//! Answers of the Query protocol: `<ActionResponse><ActionResult>...</ActionResult><ResponseMetadata/></ActionResponse>`.

use crate::xml::Element;

/// The namespace of ELBv2's answers.
pub(crate) const ELB_NAMESPACE: &str = "http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/";

/// An answer of ELBv2 with this result.
pub(crate) fn elb(action: &str, result: impl IntoIterator<Item = Element>, request: &str) -> Element {
    let mut response = Element::new(format!("{action}Response"))
        .with(Element::new(format!("{action}Result")).with_all(result))
        .with(Element::new("ResponseMetadata").with(Element::text("RequestId", request)));
    response.namespace = Some(ELB_NAMESPACE.to_owned());
    response
}

/// A list, as ELBv2 writes it.
pub(crate) fn members(name: &str, members: impl IntoIterator<Item = Element>) -> Element {
    Element::new(name).with_all(members.into_iter().map(|mut member| {
        member.name = "member".to_owned();
        member
    }))
}

/// The members of a list in an answer.
pub(crate) fn listed<'a>(answer: &'a Element, action: &str, list: &str) -> &'a [Element] {
    let result = format!("{action}Result");
    answer.at(&[&result, list]).map(|list| list.children.as_slice()).unwrap_or_default()
}
