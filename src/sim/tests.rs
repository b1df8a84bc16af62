use super::draw::draw;
use super::grammar::Grammar;
use super::run::run;

#[test]
fn try_it() {
    let grammar = Grammar::read();
    let number = |name, other| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok()).unwrap_or(other);
    let (start, seeds) = (number("S", 0), number("N", 1));
    for seed in start..start + seeds {
        let schedule = draw(&grammar, seed);
        let begun = std::time::Instant::now();
        let run = run(&grammar, &schedule);
        if number("TRACE", 0) > 0 {
            println!("{}", schedule.text());
            println!("{}", run.journal.join("\n"));
        }
        println!("{seed} {:?} {} deeds {:.2}s {:?}", schedule.controllers, run.journal.len(), begun.elapsed().as_secs_f32(), run.failure);
    }
}
