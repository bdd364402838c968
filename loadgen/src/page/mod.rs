//! `--html`: a report as one page that needs nothing else, neither network nor script.
//!
//! Owns what is on the page and in which order: the verdict, what was run where, then four plots and every figure. Plots
//! are drawn by `chart`. All text is escaped, since reasons and addresses are a server's and a user's; and the page's own
//! policy forbids to load or run anything.

mod chart;
mod plots;

use std::fmt::Write as _;
use std::io::{self, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use self::plots::plots;
use crate::report::{FiguresOf, Judgement, Outcome, Report};

const STYLE: &str = include_str!("style.css");

/// Writes the page.
pub(crate) fn write(report: &Report, out: &mut impl Write) -> io::Result<()> {
    let title = format!("{} on {}", report.command, report.url);
    write!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n",
        title = escaped(&title)
    )?;
    writeln!(out, "<h1>{}</h1>", escaped(&title))?;
    out.write_all(verdict(report).as_bytes())?;
    out.write_all(provenance(report).as_bytes())?;
    for plot in plots(report) {
        out.write_all(plot.as_bytes())?;
    }
    out.write_all(figures(report).as_bytes())?;
    out.write_all(b"</main>\n</body>\n</html>\n")
}

/// What came of it, in one colour and some words.
fn verdict(report: &Report) -> String {
    let known = report.figures_of == FiguresOf::Server
        && report.judged.iter().all(|judged| match judged.outcome {
            Outcome::Held | Outcome::Failed => true,
            Outcome::NotKnown => false,
        });
    let passes = report.clean() && report.judged.iter().all(Judgement::passes);
    let (class, said) = match (report.clean(), passes, known) {
        (false, _, _) => ("failed", "Not clean: messages or connections were lost, doubled or out of order"),
        (true, _, false) => ("unknown", "Not known: see below why"),
        (true, false, true) => ("failed", "A condition failed"),
        (true, true, true) => ("passed", "Clean: nothing lost, doubled or out of order"),
    };
    let mut lines: Vec<String> = report.disclaimer().map(|why| format!("Not known {why}.")).into_iter().collect();
    lines.extend(report.judged.iter().map(Judgement::row));
    if report.interrupted {
        lines.push("The run was ended early.".to_owned());
    }
    let lines: String = lines.iter().map(|line| format!("<li>{}</li>", escaped(line))).collect();
    format!("<section class=\"verdict {class}\"><strong>{said}</strong><ul>{lines}</ul></section>\n")
}

/// What was run, when and where.
fn provenance(report: &Report) -> String {
    let run = &report.run;
    let machine = &run.machine;
    let gigabytes = machine.memory_bytes as f64 / 1e9;
    let rows = [
        ("command", format!("loadgen {}", run.said())),
        ("version", run.version.to_owned()),
        ("began", utc(run.started())),
        ("machine", format!("{} cores, {}, {gigabytes:.1} GB", machine.cores, machine.processor)),
        ("kernel", machine.kernel.clone()),
    ];
    format!("<section><h2>What was run</h2>\n{}</section>\n", table(rows.iter().map(|(a, b)| (*a, b.as_str()))))
}

fn figures(report: &Report) -> String {
    let rows = report.rows();
    let rows = table(rows.iter().map(|(label, said)| (*label, said.as_str())));
    format!("<section><h2>Every figure</h2>\n{rows}</section>\n")
}

fn table<'a>(rows: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut text = "<table>\n".to_owned();
    for (label, said) in rows {
        writeln!(text, "<tr><th>{}</th><td>{}</td></tr>", escaped(label), escaped(said))
            .expect("a String takes everything");
    }
    text + "</table>\n"
}

/// Text as a page shows it, in an element or in a quoted attribute.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            _ if character.is_control() => safe.push(char::REPLACEMENT_CHARACTER),
            _ => safe.push(character),
        }
    }
    safe
}

/// A time as `2026-11-29 20:00:00 UTC`.
fn utc(at: SystemTime) -> String {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    let (days, seconds) = (since / 86_400, since % 86_400);
    // Years begin in March here, so that a leap day is their last: https://howardhinnant.github.io/date_algorithms.html
    let shifted = days + 719_468;
    let (era, day) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{year}-{month:02}-{day_of_month:02} {hours:02}:{minutes:02}:{seconds:02} UTC")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(report: &Report) -> String {
        let mut out = Vec::new();
        write(report, &mut out).expect("memory takes everything");
        String::from_utf8(out).expect("a page is UTF-8")
    }

    #[test]
    fn nothing_that_a_server_says_is_more_than_text() {
        let evil = r#"</title><script>alert("1")</script><img src=x onerror='1'>&"#;
        let mut report = Report { command: "echo", url: evil.to_owned(), ..Report::default() };
        report.closed_reasons.insert(evil.to_owned(), 3);
        report.run.arguments.push(evil.to_owned());
        report.run.machine.processor = format!("{evil}\u{0}");
        let page = page(&report);
        assert!(!page.contains("<script") && !page.contains("<img") && !page.contains('\0'), "{page}");
        assert_eq!(page.matches("&lt;script&gt;alert(&quot;1&quot;)").count(), 5, "{page}");
    }

    #[test]
    fn the_page_needs_nothing_else() {
        let page = page(&Report { command: "idle", ..Report::default() });
        let outside = ["http://", "https://", "src=", "href=", "url(", "@import"];
        assert!(outside.iter().all(|way| !page.contains(way)), "{page}");
    }

    #[test]
    fn the_verdict_is_never_better_than_what_is_known() {
        let judged = |outcome| Judgement { condition: "ack.p99>1ms".into(), outcome, figure: None, said: "so".into() };
        check(&Report::default(), "passed");
        check(&Report { closed: 1, ..Report::default() }, "failed");
        check(&Report { figures_of: FiguresOf::Generator, ..Report::default() }, "unknown");
        check(&Report { judged: vec![judged(Outcome::Held)], ..Report::default() }, "passed");
        check(&Report { judged: vec![judged(Outcome::Failed)], ..Report::default() }, "failed");
        check(&Report { judged: vec![judged(Outcome::NotKnown)], ..Report::default() }, "unknown");
    }

    fn check(report: &Report, class: &str) {
        assert!(page(report).contains(&format!("class=\"verdict {class}\"")), "{class}: {}", verdict(report));
    }

    #[test]
    fn a_time_is_said_by_the_calendar() {
        let said = |seconds| utc(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(said(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(said(951_782_399), "2000-02-28 23:59:59 UTC");
        assert_eq!(said(951_782_400), "2000-02-29 00:00:00 UTC");
        assert_eq!(said(1_795_982_149), "2026-11-29 19:55:49 UTC");
    }
}
