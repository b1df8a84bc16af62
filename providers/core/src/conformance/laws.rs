//! What is done to a provider on its way from one desired state to another, and what must come of it.

use super::cases::Edit;
use super::drive::{Came, End, Run, Trouble};
use super::random::Random;
use super::{Failure, Law, World};
use crate::balancer::{Listener, LoadBalancer};

/// No step makes more writes than this.
const WRITES: u64 = 16;

/// The suite at work.
pub(super) struct Suite<F> {
    pub(super) world: F,
    /// Runs so far.
    pub(super) runs: usize,
    pub(super) random: Random,
}

impl<W: World, F: FnMut() -> W> Suite<F> {
    /// All that is done to one edit.
    pub(super) fn edit(&mut self, edit: &Edit) -> Result<(), Failure> {
        let (end, steps) = self.undisturbed(edit)?;
        self.disturbed(edit, Trouble::Twice, &end)?;
        for step in 0..steps {
            self.disturbed(edit, Trouble::KilledAfter(step.saturating_add(1)), &end)?;
            for writes in 0..WRITES {
                if self.disturbed(edit, Trouble::KilledInside(step, writes), &end)? {
                    break;
                }
            }
        }
        for step in 0..=steps {
            self.turned_back(edit, step)?;
            self.deleted(edit, step)?;
        }
        self.killed_while_deleting(edit)
    }

    /// One of each kind of what is done to an edit.
    pub(super) fn sampled(&mut self, edit: &Edit) -> Result<(), Failure> {
        let (end, steps) = self.undisturbed(edit)?;
        let [after, inside, back, gone] = [(); 4].map(|()| self.random.below(steps));
        self.disturbed(edit, Trouble::Twice, &end)?;
        self.disturbed(edit, Trouble::KilledAfter(after.saturating_add(1)), &end)?;
        self.disturbed(edit, Trouble::KilledInside(inside, 0), &end)?;
        self.turned_back(edit, back)?;
        self.deleted(edit, gone)
    }

    /// A history of desired states, once undisturbed and once with trouble at every one of them, ends in the same place; and can be deleted.
    pub(super) fn history(&mut self, name: &str, history: &[LoadBalancer], random: &mut Random) -> Result<(), Failure> {
        let mut undisturbed = self.run(name, "undisturbed");
        let mut steps = Vec::new();
        for desired in history {
            undisturbed.towards(Some(desired), Trouble::None)?;
            steps.push(undisturbed.steps);
        }
        let end = undisturbed.end()?;
        let troubles: Vec<_> = steps
            .into_iter()
            .map(|steps| match random.below(3) {
                0 => Trouble::Twice,
                1 => Trouble::KilledAfter(random.below(steps).saturating_add(1)),
                _ => Trouble::KilledInside(random.below(steps), random.below(3) as u64),
            })
            .collect();
        let mut disturbed = self.run(name, &format!("{troubles:?}"));
        for (desired, trouble) in history.iter().zip(troubles) {
            disturbed.towards(Some(desired), trouble).map_err(crash_to_blame)?;
        }
        same(&mut disturbed, &end)?;

        let mut deleted = self.run(name, "each state only half made, then deleted");
        for desired in history {
            deleted.towards(Some(desired), Trouble::Stopped(random.below(8)))?;
        }
        deleted.towards(None, Trouble::None)?;
        deleted.check_empty()
    }

    /// Two Services share a load balancer. One edits its ports and what belongs to the whole, while the other, or both, are held.
    pub(super) fn held(&mut self, name: &str, shared: &LoadBalancer, wish: &LoadBalancer) -> Result<(), Failure> {
        let Some((first, uid)) = shared.members.first().map(|member| (member, member.uid.clone())) else {
            return Ok(());
        };
        let mut run = self.run(name, "both are held");
        run.towards(Some(shared), Trouble::None)?;
        let all = shared.members.iter().map(|member| member.uid.clone()).collect();
        let held = LoadBalancer { held: all, listeners: Vec::new(), ..wish.clone() };
        run.towards(Some(&held), Trouble::None)?;
        if run.steps > 0 {
            return Err(run.failure(Law::LeavesHeldAlone, format!("{} steps, although all are held", run.steps)));
        }

        let mut run = self.run(name, &format!("{} is held", first.name));
        run.again_towards(Some(shared))?;
        let of_first = |listener: &Listener| listener.service == uid;
        let others: Vec<Listener> = wish.listeners.iter().filter(|listener| !of_first(listener)).cloned().collect();
        let held = LoadBalancer { held: vec![uid.clone()], listeners: others.clone(), ..wish.clone() };
        run.towards(Some(&held), Trouble::None)?;
        let here = run.end()?;
        let mut wanted = LoadBalancer { nodes: wish.nodes.clone(), ..shared.clone() };
        wanted.listeners.retain(|listener| of_first(listener));
        wanted.listeners.extend(others);
        let mut direct = self.run(name, "the same without a hold");
        direct.again_towards(Some(shared))?;
        direct.towards(Some(&wanted), Trouble::None)?;
        let there = direct.end()?;
        if here != there {
            return Err(run.failure(Law::LeavesHeldAlone, format!("{here:?}, instead of {there:?}")));
        }
        run.towards(None, Trouble::None)?;
        run.check_empty()
    }

    /// Something foreign stands where the load balancer would be.
    pub(super) fn foreign_id(&mut self, desired: &LoadBalancer) -> Result<(), Failure> {
        let run = self.run("something foreign has the id", "create, then delete");
        let Some(id) = run.world.foreign_id() else { return Ok(()) };
        let mut run = run.under(id);
        if run.try_towards(Some(desired))? {
            return Err(
                run.failure(Law::LeavesForeignAlone, "every step was carried out as if it were the provider's own")
            );
        }
        run.try_towards(None)?;
        Ok(())
    }

    fn undisturbed(&mut self, edit: &Edit) -> Result<(End, usize), Failure> {
        let mut run = self.run(&edit.name, "undisturbed");
        if let Some(from) = &edit.from {
            run.towards(Some(from), Trouble::None)?;
        }
        run.towards(Some(&edit.to), Trouble::None)?;
        let steps = run.steps;
        Ok((run.end()?, steps))
    }

    /// Ends where the undisturbed run ended. True if the step outlived its trouble.
    fn disturbed(&mut self, edit: &Edit, trouble: Trouble, end: &End) -> Result<bool, Failure> {
        let mut run = self.started(edit, &format!("{trouble:?}"))?;
        run.towards(Some(&edit.to), trouble).map_err(crash_to_blame)?;
        let survived = run.survived;
        same(&mut run, end)?;
        Ok(survived)
    }

    /// Somebody takes the edit back halfway, then wants it after all.
    fn turned_back(&mut self, edit: &Edit, step: usize) -> Result<(), Failure> {
        let Some(from) = &edit.from else { return Ok(()) };
        let mut run = self.started(edit, &format!("turned back after {step} steps"))?;
        if run.towards(Some(&edit.to), Trouble::Stopped(step))? == Came::Halfway {
            run.towards(Some(from), Trouble::None)?;
            run.towards(Some(&edit.to), Trouble::None)?;
        }
        run.towards(None, Trouble::None)?;
        run.check_empty()
    }

    fn deleted(&mut self, edit: &Edit, step: usize) -> Result<(), Failure> {
        let mut run = self.started(edit, &format!("deleted after {step} steps"))?;
        run.towards(Some(&edit.to), Trouble::Stopped(step))?;
        run.towards(None, Trouble::None)?;
        run.check_empty()
    }

    fn killed_while_deleting(&mut self, edit: &Edit) -> Result<(), Failure> {
        let mut run = self.started(edit, "deleted")?;
        run.again_towards(Some(&edit.to))?;
        run.towards(None, Trouble::None)?;
        for step in 0..run.steps {
            let inside = (0..WRITES).map(|writes| Trouble::KilledInside(step, writes));
            for trouble in [Trouble::KilledAfter(step.saturating_add(1)), Trouble::Twice].into_iter().chain(inside) {
                let mut run = self.started(edit, &format!("deleted, {trouble:?}"))?;
                run.again_towards(Some(&edit.to))?;
                run.towards(None, trouble)?;
                run.check_empty()?;
                if matches!(trouble, Trouble::KilledInside(..)) && run.survived {
                    break;
                }
            }
        }
        Ok(())
    }

    /// A run that has settled on what the edit starts from, as the undisturbed one has.
    fn started(&mut self, edit: &Edit, what: &str) -> Result<Run<W>, Failure> {
        let mut run = self.run(&edit.name, what);
        if let Some(from) = &edit.from {
            run.again_towards(Some(from))?;
        }
        Ok(run)
    }

    fn run(&mut self, name: &str, what: &str) -> Run<W> {
        self.runs = self.runs.saturating_add(1);
        Run::new((self.world)(), format!("{name}: {what}"), self.random.fork())
    }
}

/// What settles undisturbed and not after a crash has not survived the crash.
fn crash_to_blame(failure: Failure) -> Failure {
    match failure.law {
        Law::Settles => Failure { law: Law::SurvivesCrashes, ..failure },
        Law::SurvivesCrashes
        | Law::LeavesForeignAlone
        | Law::IgnoresOrder
        | Law::DeletesAll
        | Law::KeepsPublished
        | Law::LeavesHeldAlone => failure,
    }
}

fn same<W: World>(run: &mut Run<W>, undisturbed: &End) -> Result<(), Failure> {
    let end = run.end()?;
    if &end == undisturbed {
        return Ok(());
    }
    Err(run.failure(Law::SurvivesCrashes, format!("undisturbed: {undisturbed:?}; here: {end:?}")))
}
