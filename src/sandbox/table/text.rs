//! Rows as text: a table for eyes, one line a change for what is no terminal.

use std::collections::BTreeMap;

use comfy_table::{ContentArrangement, Table, presets};

use super::row::{Address, Port, Row};

/// What a terminal has room for. Without one, nothing is cut.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    pub(crate) columns: u16,
    pub(crate) lines: u16,
}

/// The table, and a line that says how many are as expected.
pub(crate) fn text(rows: &[Row], room: Option<Room>) -> String {
    let shown = room.map_or(rows.len(), |room| usize::from(room.lines.saturating_sub(FRAME)).max(1));
    // Where there is no room for all, those that need somebody's eyes are kept.
    let mut kept: Vec<usize> = (0..rows.len()).collect();
    kept.sort_by_key(|index| rows.get(*index).is_some_and(|row| row.expected));
    kept.truncate(shown);
    kept.sort_unstable();
    let mut lines = vec![HEADER.map(str::to_owned)];
    lines.extend(kept.into_iter().filter_map(|index| rows.get(index)).map(cells));
    if let Some(room) = room {
        cut(&mut lines, usize::from(room.columns));
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled).add_rows(lines);
    for column in table.column_iter_mut() {
        column.set_padding((0, GAP));
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    let hidden = rows.len().saturating_sub(shown);
    let more = match hidden {
        0 => String::new(),
        _ => format!("... and {hidden} more, all of them in `kubectl get services -A`\n"),
    };
    format!("{}\n{more}{}\n", lines.join("\n"), count(rows))
}

const HEADER: [&str; 6] = ["SERVICE", "CLASS", "ADDRESSES", "PORTS", "EXPECTED", "STATE"];

/// Of a hundred columns of a terminal, the most that each column takes; what is left is the state's.
const SHARES: [usize; 5] = [20, 15, 20, 15, 10];

/// Cuts the cells so that a row fits into a line of a terminal.
fn cut(lines: &mut [[String; 6]], columns: usize) {
    let mut left = columns;
    for (column, share) in SHARES.iter().map(|share| share * columns / 100).chain([usize::MAX]).enumerate() {
        let cells = || lines.iter().filter_map(|line| line.get(column));
        let natural = cells().map(|cell| cell.chars().count()).max().unwrap_or_default();
        let width = natural.min(share.saturating_sub(usize::from(GAP))).min(left.saturating_sub(usize::from(GAP)));
        for cell in lines.iter_mut().filter_map(|line| line.get_mut(column)) {
            if cell.chars().count() > width {
                *cell = cell.chars().take(width.saturating_sub(1)).chain(['…']).collect();
            }
        }
        left = left.saturating_sub(width + usize::from(GAP));
    }
}

/// Lines of a frame that are no rows: the header, what is hidden, how many are as expected, and the cursor's own.
const FRAME: u16 = 4;

/// Spaces between columns.
const GAP: u16 = 2;

fn count(rows: &[Row]) -> String {
    let expected = rows.iter().filter(|row| row.expected).count();
    let claimed = rows.iter().filter(|row| row.claim == "Claimed").count();
    format!("{expected} of {} Services are as expected; {claimed} are claimed", rows.len())
}

/// What is not as expected, one line each.
pub(crate) fn unexpected(rows: &[Row]) -> Vec<String> {
    let not_expected = rows.iter().filter(|row| !row.expected);
    not_expected.map(|row| format!("{}: wanted {}", row.key, row.missing.join("; wanted "))).collect()
}

/// What has changed from one reading to the next: what is new or other than before, and what is gone.
pub(crate) fn changed<'a>(before: &'a [Row], now: &'a [Row]) -> (Vec<&'a Row>, Vec<&'a Row>) {
    let by_key = |rows: &'a [Row]| rows.iter().map(|row| (&row.key, row)).collect::<BTreeMap<_, _>>();
    let (known, left) = (by_key(before), by_key(now));
    let other = now.iter().filter(|row| known.get(&row.key) != Some(row)).collect();
    let gone = before.iter().filter(|row| !left.contains_key(&row.key)).collect();
    (other, gone)
}

/// The same, one line a Service.
pub(crate) fn changes(before: &[Row], now: &[Row]) -> Vec<String> {
    let (other, gone) = changed(before, now);
    let other = other.into_iter().map(|row| {
        let expected = if row.expected { "" } else { " (not as expected)" };
        format!("{}: {} {} {}{expected}", row.key, addresses(row), ports(row), state(row))
    });
    other.chain(gone.into_iter().map(|row| format!("{}: gone", row.key))).collect()
}

fn cells(row: &Row) -> [String; 6] {
    let class = row.class.clone().unwrap_or_else(|| "-".to_owned());
    let expected = if row.expected { "yes" } else { "no" };
    [row.key.to_string(), class, addresses(row), ports(row), expected.to_owned(), state(row)]
}

fn addresses(row: &Row) -> String {
    let text = |Address { ip, hostname, ip_mode }: &Address| {
        let address = ip.as_ref().or(hostname.as_ref()).cloned().unwrap_or_default();
        ip_mode.as_ref().map_or_else(|| address.clone(), |mode| format!("{address} ({mode})"))
    };
    joined(row.addresses.iter().map(text))
}

fn ports(row: &Row) -> String {
    let text = |Port { port, protocol, node_port, error }: &Port| {
        let node_port = node_port.map_or_else(String::new, |node_port| format!(":{node_port}"));
        // The reason, without the domain that KEP-1435 wants before it.
        let error = error.as_ref().and_then(|error| error.rsplit('/').next());
        let error = error.map_or_else(String::new, |error| format!(" ({error})"));
        format!("{port}{node_port}/{protocol}{error}")
    };
    joined(row.ports.iter().map(text))
}

fn joined(texts: impl Iterator<Item = String>) -> String {
    let texts: Vec<String> = texts.collect();
    if texts.is_empty() { "-".to_owned() } else { texts.join(",") }
}

fn state(row: &Row) -> String {
    if let Some(why) = &row.why {
        return one_line(why);
    }
    match &row.condition {
        Some(condition) => {
            let name = condition.condition.rsplit('/').next().unwrap_or_default();
            one_line(&format!("{name}={} {}: {}", condition.status, condition.reason, condition.message))
        }
        None if row.told => "all True".to_owned(),
        None => "no condition yet".to_owned(),
    }
}

/// Whatever others write into a status, a row is a line, and moves no cursor.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests;
