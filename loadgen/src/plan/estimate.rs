//! Arithmetic of a plan: sessions and messages first, then what they take of nodes, and of the store.
//!
//! Owns the formulas. Every figure is of the busiest second unless it says otherwise. It errs on the side of more: each
//! member of a channel counts as online for processor time and network.

use schema::limits::NODES_MAX;

use super::figures::Figures;
use super::{Line, said};

const DAY_SECONDS: f64 = 86_400.0;
const YEAR_DAYS: f64 = 365.0;
const MICROS: f64 = 1e6;
/// Bits of a byte, in megabits.
const BYTES_A_MBIT: f64 = 1e6 / 8.0;
/// Processes that FoundationDB names as what it is tested with; beyond it one plans with its makers.
const STORE_PROCESSES_TESTED: f64 = 500.0;
/// Storage servers for each process that logs, proxies or resolves, and the least of those.
const STORAGE_A_OTHER: f64 = 3.0;
const OTHERS_MIN: f64 = 4.0;

/// Lines as they are made, so that each names those before it.
#[derive(Default)]
struct Lines(Vec<Line>);

impl Lines {
    fn put(&mut self, what: &'static str, figure: f64, unit: &'static str, arithmetic: String) -> f64 {
        self.0.push(Line { what, figure, unit, arithmetic });
        figure
    }
}

/// The plan's lines, and what should be known beside them.
pub(super) fn estimate(profile: &Figures, constants: &Figures) -> (Vec<Line>, Vec<String>) {
    let mut lines = Lines::default();
    let load = Load::of(profile, &mut lines);
    let nodes = nodes(&load, profile, constants, &mut lines);
    let processes = store(&load, profile, constants, &mut lines);
    let mut warnings = Vec::new();
    if nodes > f64::from(NODES_MAX) {
        warnings.push(format!("{} nodes are more than the {NODES_MAX} that one store may have", said(nodes)));
    }
    if processes > STORE_PROCESSES_TESTED {
        warnings.push(format!(
            "{} processes of FoundationDB are more than the {STORE_PROCESSES_TESTED:.0} that its makers test with",
            said(processes)
        ));
    }
    (lines.0, warnings)
}

/// What users do.
struct Load {
    sessions: f64,
    connects: f64,
    messages_a_day: f64,
    messages: f64,
    /// Parts of messages, and members of a group.
    direct: f64,
    group: f64,
    members: f64,
    /// Members of a message's channel, on the whole.
    members_mean: f64,
    text_bytes: f64,
}

impl Load {
    fn of(profile: &Figures, lines: &mut Lines) -> Self {
        let (daily, online, devices) =
            (profile["users.daily"], profile["users.online_percent"], profile["users.devices"]);
        let (peak, connects_a_day) = (profile["messages.peak_factor"], profile["users.connects_a_day"]);
        let sessions = daily * online / 100.0 * devices;
        lines.put(
            "sessions at once",
            sessions,
            "",
            format!("{} users · {online} % online · {devices} devices", said(daily)),
        );
        let connects = daily * devices * connects_a_day / DAY_SECONDS * peak;
        lines.put(
            "connects",
            connects,
            "a second",
            format!("{} users · {devices} devices · {connects_a_day} a day / 86,400 s · peak {peak}", said(daily)),
        );
        let each = profile["messages.a_user_a_day"];
        let messages_a_day = daily * each;
        lines.put("messages", messages_a_day, "a day", format!("{} users · {each}", said(daily)));
        let messages = messages_a_day / DAY_SECONDS * peak;
        lines.put("messages", messages, "a second", format!("{} a day / 86,400 s · peak {peak}", said(messages_a_day)));
        let (share, members) = (profile["groups.share_percent"], profile["groups.members"]);
        let (direct, group) = (1.0 - share / 100.0, share / 100.0);
        let members_mean = direct * 2.0 + group * members;
        lines.put(
            "members of a message's channel",
            members_mean,
            "",
            format!("{} % · 2 + {share} % · {members}", 100.0 - share),
        );
        let text_bytes = profile["messages.text_bytes"];
        Self { sessions, connects, messages_a_day, messages, direct, group, members, members_mean, text_bytes }
    }
}

/// Lines about nodes; how many there are to be.
fn nodes(load: &Load, profile: &Figures, constants: &Figures, lines: &mut Lines) -> f64 {
    let &Load { sessions, connects, messages, direct, group, members, members_mean, text_bytes, .. } = load;
    let [message, member, connect, idle] = [
        "processor.direct_message_micros",
        "processor.member_micros",
        "processor.connect_micros",
        "processor.session_micros_a_second",
    ]
    .map(|name| constants[name]);
    let cores_direct = messages * direct * message / MICROS;
    let rate = |part: f64| said(messages * part);
    lines.put("cores for direct messages", cores_direct, "", format!("{} a second · {message} µs", rate(direct)));
    let cores_group = messages * group * (message + (members - 2.0) * member) / MICROS;
    lines.put(
        "cores for messages to groups",
        cores_group,
        "",
        format!("{} a second · ({message} + {} · {member}) µs", rate(group), members - 2.0),
    );
    let cores_connect = connects * connect / MICROS;
    lines.put("cores for connects", cores_connect, "", format!("{} a second · {connect} µs", said(connects)));
    let cores_idle = sessions * idle / MICROS;
    lines.put("cores for idle sessions", cores_idle, "", format!("{} · {idle} µs a second", said(sessions)));
    let cores = cores_direct + cores_group + cores_connect + cores_idle;
    lines.put("cores in use", cores, "", "the sum of these".to_owned());

    let (resident, kernel) = (constants["memory.session_bytes"], constants["memory.kernel_bytes"]);
    let memory = sessions * (resident + kernel);
    lines.put(
        "memory in use",
        memory / 1e9,
        "GB",
        format!("{} sessions · ({resident} + {kernel}) bytes", said(sessions)),
    );

    let delivery = constants["network.delivery_bytes"];
    let sent = messages * members_mean * (delivery + text_bytes) / BYTES_A_MBIT;
    lines.put(
        "network to clients",
        sent,
        "Mbit/s",
        format!("{} a second · {} · ({delivery} + {text_bytes}) bytes", said(messages), said(members_mean)),
    );

    let (node_cores, node_gb, node_mbit) =
        (profile["cluster.node_cores"], profile["cluster.node_memory_gb"], profile["cluster.node_network_mbit"]);
    let (use_percent, spare) = (profile["cluster.utilization_percent"], profile["cluster.spare_nodes"]);
    let part = use_percent / 100.0;
    let by_cores = cores / (node_cores * part);
    lines.put("nodes by cores", by_cores, "", format!("{} / ({node_cores} · {use_percent} %)", said(cores)));
    let by_memory = memory / 1e9 / (node_gb * part);
    lines.put("nodes by memory", by_memory, "", format!("{} GB / ({node_gb} · {use_percent} %)", said(memory / 1e9)));
    let by_network = sent / (node_mbit * part);
    lines.put("nodes by network", by_network, "", format!("{} Mbit/s / ({node_mbit} · {use_percent} %)", said(sent)));
    let most = by_cores.max(by_memory).max(by_network).ceil().max(1.0);
    let nodes = most + spare;
    lines.put("nodes", nodes, "", format!("the most of the three, {}, and {spare} that may be gone", said(most)));
    lines.put(
        "sessions a node",
        sessions / most,
        "",
        format!("{} / {}, as many as are left", said(sessions), said(most)),
    );
    nodes
}

/// Lines about the store; how many processes it is to have.
fn store(load: &Load, profile: &Figures, constants: &Figures, lines: &mut Lines) -> f64 {
    let &Load { messages, members_mean, .. } = load;
    let replicas = profile["store.replicas"];
    let (message_rows, member_rows) = (constants["store.message_rows"], constants["store.member_rows"]);
    let rows = messages * (message_rows + members_mean * member_rows);
    lines.put(
        "rows written",
        rows,
        "a second",
        format!("{} a second · ({message_rows} + {} · {member_rows})", said(messages), said(members_mean)),
    );
    let disk = disk(load, profile, constants, lines);
    // What a core takes for good is half of what it was seen to take, so it is not halved again.
    let core_rows = constants["store.rows_a_second_a_core"];
    let by_rows = (rows * replicas / core_rows).ceil();
    lines.put(
        "storage servers by rows",
        by_rows,
        "",
        format!("{} a second · {replicas} copies / {} rows a core", said(rows), said(core_rows)),
    );
    let server_tb = profile["store.server_disk_tb"];
    let by_disk = (disk / 1e12 / server_tb).ceil();
    lines.put("storage servers by disk", by_disk, "", format!("{} TB / {server_tb} TB", said(disk / 1e12)));
    let storage = by_rows.max(by_disk).max(replicas);
    lines.put(
        "FoundationDB storage servers",
        storage,
        "processes",
        format!("the more of both, at least {replicas}; a core and a disk each"),
    );
    let others = (by_rows / STORAGE_A_OTHER).ceil().max(OTHERS_MIN);
    lines.put(
        "FoundationDB's other processes",
        others,
        "processes",
        format!("logs, proxies, resolvers: one to {STORAGE_A_OTHER} servers by rows, at least {OTHERS_MIN}"),
    );
    storage + others
}

/// Lines about what is kept; bytes of all disks together.
fn disk(load: &Load, profile: &Figures, constants: &Figures, lines: &mut Lines) -> f64 {
    let &Load { messages_a_day, members_mean, text_bytes, .. } = load;
    let (message, index) = (constants["store.message_bytes"], constants["store.index_percent"]);
    let a_year = messages_a_day * YEAR_DAYS * (message + text_bytes * (1.0 + index / 100.0));
    lines.put(
        "messages and their index",
        a_year / 1e12,
        "TB a year",
        format!("{} a day · 365 · ({message} + {text_bytes} · (1 + {index} %)) bytes", said(messages_a_day)),
    );
    let (member, member_days) = (constants["store.member_bytes"], constants["store.inbox_days"]);
    let (reply, reply_days) = (constants["store.reply_bytes"], constants["store.reply_days"]);
    let recent = messages_a_day * (members_mean * member * member_days + reply * reply_days);
    lines.put(
        "inboxes and first replies",
        recent / 1e12,
        "TB",
        format!(
            "{} a day · ({} · {member} bytes · {member_days} days + {reply} bytes · {reply_days} days)",
            said(messages_a_day),
            said(members_mean)
        ),
    );
    let (replicas, years) = (profile["store.replicas"], profile["history.years"]);
    let (overhead, fill) = (constants["store.disk_overhead_percent"], profile["store.disk_fill_percent"]);
    let disk = (a_year * years + recent) * replicas * (1.0 + overhead / 100.0) / (fill / 100.0);
    lines.put(
        "disk of all storage servers",
        disk / 1e12,
        "TB",
        format!(
            "({} TB · {years} years + {} TB) · {replicas} copies · (1 + {overhead} %) / {fill} % full",
            said(a_year / 1e12),
            said(recent / 1e12)
        ),
    );
    disk
}

#[cfg(test)]
mod tests {
    use super::super::known::{CONSTANTS, PROFILE};
    use super::*;

    /// The plan of this profile, with a million users unless it says how many.
    fn figures(profile: &str) -> Vec<Line> {
        let users = if profile.contains("users.daily") { "" } else { "users.daily = 1_000_000\n" };
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("profile.toml");
        std::fs::write(&path, format!("{users}{profile}")).expect("a file");
        let profile = Figures::read("--profile", &path, &PROFILE).expect("a profile");
        let (lines, _) = estimate(&profile, &Figures::defaults(&CONSTANTS));
        lines
    }

    fn figure(lines: &[Line], what: &str, unit: &str) -> f64 {
        let line = lines.iter().find(|line| line.what == what && line.unit == unit);
        line.unwrap_or_else(|| panic!("no line {what} in {lines:?}")).figure
    }

    #[test]
    fn figures_follow_from_those_before_them() {
        let lines = figures("users.online_percent = 20\nusers.devices = 1.5\nmessages.a_user_a_day = 86.4");
        assert_eq!(figure(&lines, "sessions at once", ""), 300_000.0);
        assert!((figure(&lines, "messages", "a second") - 3_000.0).abs() < 1e-6, "{lines:?}");
        assert_eq!(figure(&lines, "members of a message's channel", ""), 0.7 * 2.0 + 0.3 * 20.0);
        let rows = 3_000.0 * (3.0 + 7.4);
        assert!((figure(&lines, "rows written", "a second") - rows).abs() < 1e-6, "{lines:?}");
    }

    #[test]
    fn more_of_anything_never_takes_less() {
        check(
            "users.daily = 100_000_000",
            "users.daily = 50_000_000",
            &["nodes", "cores in use", "disk of all storage servers"],
        );
        check("messages.a_user_a_day = 80", "messages.a_user_a_day = 40", &["cores in use", "rows written"]);
        check("groups.members = 100", "groups.members = 20", &["cores in use", "network to clients", "rows written"]);
        check("groups.share_percent = 60", "groups.share_percent = 30", &["cores in use", "rows written"]);
        check("users.devices = 3", "users.devices = 1", &["memory in use", "sessions at once"]);
        check(
            "messages.text_bytes = 500",
            "messages.text_bytes = 100",
            &["network to clients", "messages and their index"],
        );
        check("history.years = 5", "history.years = 1", &["disk of all storage servers"]);
        check("store.replicas = 3", "store.replicas = 2", &["disk of all storage servers"]);
    }

    fn check(more: &str, less: &str, whats: &[&str]) {
        let (more, less) = (figures(more), figures(less));
        for what in whats {
            let of = |lines: &[Line]| lines.iter().find(|line| line.what == *what).expect("a line").figure;
            assert!(of(&more) > of(&less), "{what}: {} and {}", of(&more), of(&less));
        }
    }
}
