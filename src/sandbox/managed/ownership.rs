//! What a write makes of the owners: an update takes what it changes, an apply what it says, if nobody else has it. From
//! `sigs.k8s.io/structured-merge-diff/v6/merge/update.go`.

use serde_json::Value;

use super::difference::{Difference, same};
use super::element::Element;
use super::entries::{Owned, Owner, Owners};
use super::extent::{extent, with_named_fields};
use super::fieldset::FieldSet;
use super::merging::merged;
use super::reconciled::reconciled;
use super::removal::without;
use super::versions::Versions;

/// A field that is somebody else's, with another value.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Conflict {
    pub(super) owner: Owner,
    pub(super) path: Vec<Element>,
}

/// An object that is written, and who owned what before.
pub(super) struct Change<'a> {
    pub(super) versions: &'a Versions<'a>,
    pub(super) live: &'a Value,
    pub(super) owners: Owners,
    /// Fields that this way of writing does not change: nobody gets, nor loses them by it.
    pub(super) reset: &'a FieldSet,
}

impl Change<'_> {
    /// Takes what an update changes from everybody; it is handed back besides.
    pub(super) fn updated(mut self, object: &Value) -> (Owners, FieldSet) {
        self.keep_what_fits();
        let difference = self.difference(object);
        self.moved(object, &difference, None);
        (self.owners, difference.modified.union(difference.added))
    }

    /// The object after an apply (nothing where it is as it was) and its owners; or the conflicts, unless by force.
    pub(super) fn applied(
        mut self,
        config: &Value,
        by: &Owner,
        force: bool,
    ) -> Result<(Option<Value>, Owners), Vec<Conflict>> {
        self.keep_what_fits();
        let form = self.versions.form();
        let object = merged(form, self.live, config);
        let before = self.owners.get(by).cloned();
        let fields = extent(form, config).recursive_difference(self.reset);
        let time = before.as_ref().and_then(|before| before.time.clone());
        self.owners.insert(by.clone(), Owned { fields, version: self.versions.here().to_owned(), time });
        let object = match before.filter(|before| !before.fields.is_empty()) {
            Some(before) => self.pruned(object, &before),
            None => object,
        };
        let difference = self.difference(&object);
        let changed = difference.modified.clone().union(difference.added.clone());
        if !force {
            let conflicts = self.conflicts(&object, &changed, by);
            if !conflicts.is_empty() {
                return Err(conflicts);
            }
        }
        self.moved(&object, &difference, Some(by));
        let object = (!same(self.live, &object)).then_some(object);
        Ok((object, self.owners))
    }

    fn difference(&self, object: &Value) -> Difference {
        Difference::between(self.versions.form(), self.live, object).without(self.reset)
    }

    /// The same in the version that somebody wrote in; nothing where there is no such version any more.
    fn difference_in(&self, version: &str, object: &Value) -> Option<Difference> {
        let shapes = self.versions.shapes(version)?;
        let (live, object) = (self.versions.converted(self.live, version), self.versions.converted(object, version));
        Some(Difference::between(shapes.form(), &live, &object).without(self.reset))
    }

    fn conflicts(&self, object: &Value, changed: &FieldSet, by: &Owner) -> Vec<Conflict> {
        let mut conflicts = Vec::new();
        for (owner, owned) in self.owners.iter().filter(|(owner, _)| *owner != by) {
            let theirs = if owned.version == self.versions.here() {
                owned.fields.intersection(changed)
            } else {
                let Some(difference) = self.difference_in(&owned.version, object) else { continue };
                owned.fields.intersection(&difference.modified.union(difference.added))
            };
            let paths = theirs.paths().into_iter();
            conflicts.extend(paths.map(|path| Conflict { owner: owner.clone(), path }));
        }
        conflicts
    }

    /// Everybody but the writer loses what has changed and what has gone; who has nothing left is nobody.
    fn moved(&mut self, object: &Value, difference: &Difference, by: Option<&Owner>) {
        let gone = |difference: &Difference, owned: &FieldSet| {
            owned.difference(&difference.modified).difference(&difference.added).difference(&difference.removed)
        };
        let owners = std::mem::take(&mut self.owners);
        for (owner, mut owned) in owners {
            if by != Some(&owner) {
                owned.fields = if owned.version == self.versions.here() {
                    gone(difference, &owned.fields)
                } else {
                    match self.difference_in(&owned.version, object) {
                        Some(difference) => gone(&difference, &owned.fields),
                        None => continue,
                    }
                };
            }
            if !owned.fields.is_empty() {
                self.owners.insert(owner, owned);
            }
        }
    }

    /// Without what the same manager applied before, applies no more, and nobody else owns.
    fn pruned(&self, object: Value, before: &Owned) -> Value {
        let Some(shapes) = self.versions.shapes(&before.version) else { return object };
        let form = shapes.form();
        let named = |set: &FieldSet| with_named_fields(set, Some(form));
        let object = self.versions.converted(&object, &before.version).into_owned();
        let pruned = without(form, &object, &named(&before.fields));
        // What others own, and what this one still does, comes back.
        let (mut whole, mut rest) = (object, pruned);
        let mut versions: Vec<&str> = self.owners.values().map(|owned| owned.version.as_str()).collect();
        versions.sort_unstable();
        versions.dedup();
        versions.sort_by_key(|version| *version != before.version);
        let mut at = before.version.clone();
        for version in versions {
            let Some(shapes) = self.versions.shapes(version) else { continue };
            let form = shapes.form();
            let owned = self.owners.values().filter(|owned| owned.version == version);
            let owned = owned.fold(FieldSet::default(), |all, owned| all.union(owned.fields.clone()));
            whole = self.versions.between(&whole, &at, version).into_owned();
            rest = self.versions.between(&rest, &at, version).into_owned();
            version.clone_into(&mut at);
            let named = |set: &FieldSet| with_named_fields(set, Some(form));
            let keep = named(&extent(form, &rest)).union(named(&owned));
            rest = without(form, &whole, &named(&extent(form, &whole)).difference(&keep));
        }
        // And what hung on a removed field, but was not this manager's.
        let rest = self.versions.between(&rest, &at, &before.version).into_owned();
        let whole = self.versions.between(&whole, &at, &before.version).into_owned();
        let (all, left) = (named(&extent(form, &whole)), named(&extent(form, &rest)));
        let rest = without(form, &whole, &all.difference(&left).intersection(&named(&before.fields)));
        self.versions.between(&rest, &before.version, self.versions.here()).into_owned()
    }

    /// Who wrote fields one by one that the schema takes as one value since, owns that value.
    fn keep_what_fits(&mut self) {
        for owned in self.owners.values_mut() {
            if let Some(shapes) = self.versions.shapes(&owned.version)
                && let Some(fields) = reconciled(shapes.form(), &owned.fields)
            {
                owned.fields = fields;
            }
        }
    }
}
