//! `docs/reference/internal-annotations.md`, printed from the table. `UPDATE_GOLDEN=1` writes what would be right now.

use std::fmt::Write;
use std::path::Path;

use super::*;

const HEAD: &str = r#"<!-- Printed from providers/core/src/desire/scheme/table.rs. Change it there, then: UPDATE_GOLDEN=1 cargo test -p portolan-core -->
# Internal load balancers: the annotations that are read

Ask for a load balancer inside your network with

```yaml
metadata:
  annotations:
    portolan.dev/scheme: internal   # or public
```

or with the annotation of your cloud, which Portolan reads by the rule of that cloud's own controller. Manifests need no edit when they
move. What a Service that asks for neither gets is the class's to say.

- **Nobody becomes public by accident.** A text that its cloud does not know is read as internal, with a Warning `SchemeUnclear`. Where one
  annotation asks for internal and another for public, ours among them, internal wins, with a Warning `SchemeConflict`.
- Our own annotation knows exactly `internal` and `public`; anything else is refused (`InvalidAnnotation`), and nothing is built.
- A provider that does not tell internal from public refuses whatever asks for internal, and names the key (`SchemeNotSupported`). It refuses
  `portolan.dev/scheme: public` too, because it cannot promise that either. A cloud's own word for public is not refused: it mostly repeats
  that cloud's default, and Services carry it from place to place.
- A change on a live Service replaces its load balancer, by the provider's rule for replacing; it is never ignored.
- `internalAnnotations` in the configuration says which clouds are read: `all` (the default) or a list of the names in the first column.

In each block the first key that says anything decides; blocks are counted against each other. Texts are compared to the letter, except where
it says "in any case". *Nothing* means: as if the key were not there.

| Cloud | Annotation | Internal | Public | Empty | Anything else |
|---|---|---|---|---|---|
"#;

/// The texts, each as code.
fn words(words: &Words) -> String {
    let coded = |texts: &[&str]| texts.iter().map(|text| format!("`{text}`")).collect::<Vec<_>>().join(", ");
    match words {
        Words::None => "-".to_owned(),
        Words::Exactly(texts) => coded(texts),
        Words::AnyCase(texts) => format!("{} in any case", coded(texts)),
        Words::StartWith(start) => format!("`{start}...`"),
    }
}

fn page() -> String {
    const UNCLEAR: &str = "internal, Warning";
    let mut page = HEAD.to_owned();
    for dialect in DIALECTS {
        for (place, key) in dialect.keys.iter().enumerate() {
            let name = if place == 0 { format!("`{}`", dialect.cloud.name()) } else { "then".to_owned() };
            let empty = match key.empty {
                Reading::Nothing => "nothing",
                Reading::Unclear => UNCLEAR,
                Reading::Says(Scheme::Internal) => "internal",
                Reading::Says(Scheme::Public) => "public",
            };
            let (internal, public) = (words(&key.internal), words(&key.public));
            writeln!(page, "| {name} | `{}` | {internal} | {public} | {empty} | {UNCLEAR} |", key.name).unwrap();
        }
    }
    page.push_str("\nWhose rule that is, and where we had to choose:\n\n");
    for dialect in DIALECTS {
        let [first, ..] = dialect.keys else { panic!("a dialect without keys") };
        let rest = if dialect.keys.len() > 1 { " and what follows" } else { "" };
        writeln!(page, "- `{}`{rest}: {}. {}", first.name, dialect.reader, dialect.note).unwrap();
    }
    page.push_str("\nClass names that say it too, where they are aliases of a class of yours:\n\n| Cloud | `loadBalancerClass` | Says |\n|---|---|---|\n");
    for (cloud, name, scheme) in CLASSES {
        writeln!(page, "| `{}` | `{name}` | {scheme} |", cloud.name()).unwrap();
    }
    page.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

#[test]
fn the_reference_page_says_what_the_table_says() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/internal-annotations.md");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, page()).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(written == page(), "{} is not what the table says: UPDATE_GOLDEN=1 writes it", file.display());
}
