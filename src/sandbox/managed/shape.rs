//! What the merging of objects needs to know of a kind: which values are maps, lists or neither, and which of them are one thing as a
//! whole. Made of the OpenAPI schemas, as `k8s.io/kube-openapi/pkg/schemaconv/openapi.go` makes it.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value};

use super::element::{Element, Scalar};

/// All shapes that a kind is made of. They name each other by number, because some contain themselves (the schema in a definition).
#[derive(Debug, Default)]
pub(in crate::sandbox) struct Shapes {
    all: Vec<Shape>,
    root: usize,
}

/// The forms that a value may take; of most shapes only one.
#[derive(Clone, Debug, Default)]
struct Shape {
    scalar: Option<Plain>,
    list: Option<ListShape>,
    map: Option<MapShape>,
}

/// What a value that is neither list nor map is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plain {
    Number,
    Text,
    Truth,
    Any,
}

#[derive(Clone, Debug)]
pub(in crate::sandbox) struct ListShape {
    pub(in crate::sandbox) items: Items,
    of: usize,
}

/// What tells the items of a list apart.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::sandbox) enum Items {
    /// Nothing: the list is one value.
    Atomic,
    /// Their values.
    Set,
    /// The values of these fields, with what stands for one that is left out.
    Keyed(Vec<(String, Option<Value>)>),
}

#[derive(Clone, Debug)]
pub(in crate::sandbox) struct MapShape {
    pub(super) atomic: bool,
    fields: BTreeMap<String, usize>,
    /// Of fields that are not declared; without it there may be none.
    others: Option<usize>,
}

/// A value's place in the shapes of its kind.
#[derive(Clone, Copy, Debug)]
pub(in crate::sandbox) struct Form<'a> {
    shapes: &'a Shapes,
    shape: &'a Shape,
}

/// The form that a value takes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Taken<'a> {
    Map(&'a MapShape),
    Plain(Plain),
    List(&'a ListShape),
}

/// Numbers of the two shapes of what no schema describes: `__untyped_atomic_` and `__untyped_deduced_` in the source.
const ATOMIC: usize = 0;
const DEDUCED: usize = 1;

impl Shapes {
    /// Of objects that have no schema: their maps are merged, their lists are atomic.
    pub(in crate::sandbox) fn deduced() -> Self {
        let untyped = |atomic: bool, others: usize| Shape {
            scalar: Some(Plain::Any),
            list: Some(ListShape { items: Items::Atomic, of: ATOMIC }),
            map: Some(MapShape { atomic, fields: BTreeMap::new(), others: Some(others) }),
        };
        Self { all: vec![untyped(true, ATOMIC), untyped(false, DEDUCED)], root: DEDUCED }
    }

    /// Of a schema, whose references are names in `components`.
    pub(in crate::sandbox) fn of(schema: &Value, components: &Map<String, Value>) -> Self {
        let mut making = Making { shapes: Self::deduced(), components, named: HashMap::new() };
        let root = making.reference(schema, false);
        Self { root, ..making.shapes }
    }

    pub(in crate::sandbox) fn form(&self) -> Form<'_> {
        self.at(self.root)
    }

    fn at(&self, number: usize) -> Form<'_> {
        // Every number that was given out has its shape; the shape of nothing would be a defect of `Making`.
        static NOTHING: Shape = Shape { scalar: None, list: None, map: None };
        Form { shapes: self, shape: self.all.get(number).unwrap_or(&NOTHING) }
    }
}

struct Making<'a> {
    shapes: Shapes,
    components: &'a Map<String, Value>,
    /// By name, and by what the reference says of the map's items.
    named: HashMap<(&'a str, Option<bool>), usize>,
}

impl<'a> Making<'a> {
    /// A schema that may stand elsewhere. Once a schema keeps unknown fields, all below it do.
    fn reference(&mut self, schema: &'a Value, keeps: bool) -> usize {
        let Some(name) = reference(schema) else {
            let number = self.reserve();
            let shape = self.shape(schema, keeps);
            self.fill(number, shape);
            return number;
        };
        let atomic = is_atomic_map(schema);
        if let Some(number) = self.named.get(&(name, atomic)) {
            return *number;
        }
        let number = self.reserve();
        self.named.insert((name, atomic), number);
        let mut shape = match name {
            "io.k8s.apimachinery.pkg.api.resource.Quantity" => Shape { scalar: Some(Plain::Any), ..Shape::default() },
            "io.k8s.apimachinery.pkg.runtime.RawExtension" => self.shapes.all.get(ATOMIC).cloned().unwrap_or_default(),
            _ => match self.components.get(name) {
                Some(schema) => self.shape(schema, false),
                None => self.shapes.all.get(DEDUCED).cloned().unwrap_or_default(),
            },
        };
        if let (Some(atomic), Some(map)) = (atomic, &mut shape.map) {
            map.atomic = atomic;
        }
        self.fill(number, shape);
        number
    }

    fn reserve(&mut self) -> usize {
        self.shapes.all.push(Shape::default());
        self.shapes.all.len() - 1
    }

    fn fill(&mut self, number: usize, shape: Shape) {
        if let Some(place) = self.shapes.all.get_mut(number) {
            *place = shape;
        }
    }

    fn shape(&mut self, schema: &'a Value, keeps: bool) -> Shape {
        let keeps = keeps || schema["x-kubernetes-preserve-unknown-fields"] == true;
        let scalar = |plain| Shape { scalar: Some(plain), ..Shape::default() };
        match schema["type"].as_str() {
            Some("object") => Shape { map: Some(self.map(schema, keeps)), ..Shape::default() },
            Some("array") => Shape { list: Some(self.list(schema, keeps)), ..Shape::default() },
            Some("integer" | "number") => scalar(Plain::Number),
            Some("boolean") => scalar(Plain::Truth),
            // Bytes are a text; the other formats are left to whoever reads them.
            Some("string") if matches!(schema["format"].as_str(), None | Some("byte")) => scalar(Plain::Text),
            Some(_) => scalar(Plain::Any),
            None => Shape {
                scalar: Some(Plain::Any),
                list: Some(self.list(schema, keeps)),
                map: Some(self.map(schema, keeps)),
            },
        }
    }

    fn map(&mut self, schema: &'a Value, keeps: bool) -> MapShape {
        let mut fields = BTreeMap::new();
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            fields.insert(name.clone(), self.reference(field, keeps));
        }
        let others = match schema.get("additionalProperties") {
            None | Some(Value::Null) => (keeps || fields.is_empty()).then_some(DEDUCED),
            Some(Value::Bool(allowed)) => allowed.then_some(DEDUCED),
            Some(others) => Some(self.reference(others, keeps)),
        };
        MapShape { atomic: is_atomic_map(schema) == Some(true), fields, others }
    }

    fn list(&mut self, schema: &'a Value, keeps: bool) -> ListShape {
        let of = schema.get("items").map_or(ATOMIC, |items| self.reference(items, keeps));
        let merges = matches!(schema["x-kubernetes-patch-strategy"].as_str(), Some("merge" | "merge,retainKeys"));
        let keyed = |keys: &mut dyn Iterator<Item = &'a Value>| {
            let fields = &self.target(&schema["items"])["properties"];
            let default = |key: &str| Some(&fields[key]["default"]).filter(|default| !default.is_null()).cloned();
            Items::Keyed(keys.filter_map(Value::as_str).map(|key| (key.to_owned(), default(key))).collect())
        };
        let items = match schema["x-kubernetes-list-type"].as_str() {
            Some("set") => Items::Set,
            Some("map") => keyed(&mut schema["x-kubernetes-list-map-keys"].as_array().into_iter().flatten()),
            Some(_) => Items::Atomic,
            None if !merges => Items::Atomic,
            None => {
                schema.get("x-kubernetes-patch-merge-key").map_or(Items::Set, |key| keyed(&mut std::iter::once(key)))
            }
        };
        ListShape { items, of }
    }

    /// The schema itself, or what it refers to.
    fn target(&self, schema: &'a Value) -> &'a Value {
        reference(schema).and_then(|name| self.components.get(name)).unwrap_or(schema)
    }
}

/// The name of what a schema refers to. Beside a description it stands within an `allOf`.
fn reference(schema: &Value) -> Option<&str> {
    let alone = schema["allOf"].as_array().and_then(|all| match all.as_slice() {
        [one] => one["$ref"].as_str(),
        _ => None,
    });
    schema["$ref"].as_str().or(alone)?.rsplit('/').next()
}

/// What a schema says of its map: whether it is one value; mostly nothing.
fn is_atomic_map(schema: &Value) -> Option<bool> {
    schema["x-kubernetes-map-type"].as_str().map(|kind| kind == "atomic")
}

impl<'a> Form<'a> {
    /// The form that a value takes (`deduceAtom`, `handleAtom`): of a null, and of a value that has none of the forms, the first.
    pub(super) fn taken(self, value: &Value) -> Option<Taken<'a>> {
        let Shape { scalar, list, map } = self.shape;
        let (map, scalar, list) =
            (map.as_ref().map(Taken::Map), scalar.map(Taken::Plain), list.as_ref().map(Taken::List));
        let fits = match value {
            Value::Null => None,
            Value::Bool(_) | Value::Number(_) | Value::String(_) => scalar,
            Value::Array(_) => list,
            Value::Object(_) => map,
        };
        fits.or(map).or(scalar).or(list)
    }

    /// Whether two values take one form, as far as the shape tells forms apart.
    pub(super) fn takes_one(self, left: &Value, right: &Value) -> bool {
        let Shape { scalar, list, map } = self.shape;
        let forms = usize::from(scalar.is_some()) + usize::from(list.is_some()) + usize::from(map.is_some());
        let form = |value: &Value| match value {
            Value::Null => None,
            Value::Bool(_) | Value::Number(_) | Value::String(_) => scalar.is_some().then_some(0),
            Value::Array(_) => list.is_some().then_some(1),
            Value::Object(_) => map.is_some().then_some(2),
        };
        forms < 2 || form(left) == form(right)
    }

    /// The form of a map's field; nothing where the map may not have it.
    pub(in crate::sandbox) fn field(self, map: &MapShape, name: &str) -> Option<Form<'a>> {
        map.fields.get(name).copied().or(map.others).map(|number| self.shapes.at(number))
    }

    pub(in crate::sandbox) fn item(self, list: &ListShape) -> Form<'a> {
        self.shapes.at(list.of)
    }

    pub(in crate::sandbox) fn map(self) -> Option<&'a MapShape> {
        self.shape.map.as_ref()
    }

    pub(in crate::sandbox) fn list(self) -> Option<&'a ListShape> {
        self.shape.list.as_ref()
    }
}

impl MapShape {
    pub(super) fn declares(&self, name: &str) -> bool {
        self.fields.contains_key(name)
    }

    /// Whether it declares any: a struct does.
    pub(in crate::sandbox) fn has_fields(&self) -> bool {
        !self.fields.is_empty()
    }

    /// Whether nothing describes its fields.
    pub(in crate::sandbox) fn is_deduced(&self) -> bool {
        self.fields.is_empty() && self.others == Some(DEDUCED)
    }
}

impl ListShape {
    /// The element of an item; nothing, and why, where the item does not say which it is.
    pub(super) fn element(&self, item: &Value) -> Result<Element, String> {
        match (&self.items, item) {
            (Items::Atomic, _) => Err("invalid indexing of non-associative list".to_owned()),
            (Items::Set, Value::Object(_)) => {
                Err("associative list without keys has an element that's a map type".to_owned())
            }
            (Items::Set, Value::Array(_)) => Err("not supported: associative list with lists as elements".to_owned()),
            (Items::Set, Value::Null) => {
                Err("associative list without keys has an element that's an explicit null".to_owned())
            }
            (Items::Set, value) => Ok(Element::Value(Scalar::of(value))),
            (Items::Keyed(_), Value::Null) => Err("associative list with keys may not have a null element".to_owned()),
            (Items::Keyed(keys), Value::Object(fields)) => {
                let found = keys.iter().filter_map(|(key, default)| {
                    Some((key.clone(), Scalar::of(fields.get(key).or(default.as_ref())?)))
                });
                let mut found: Vec<(String, Scalar)> = found.collect();
                found.sort();
                if found.is_empty() && !keys.is_empty() {
                    let names: Vec<String> = keys.iter().map(|(key, _)| format!("{key:?}")).collect();
                    return Err(format!(
                        "associative list with keys has an element that omits all key fields [{}] (and doesn't have default \
                         values for any key fields)",
                        names.join(" ")
                    ));
                }
                Ok(Element::Key(found))
            }
            (Items::Keyed(_), _) => Err("associative list with keys may not have non-map elements".to_owned()),
        }
    }
}
