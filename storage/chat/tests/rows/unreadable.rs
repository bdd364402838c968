//! Rows that cannot be read: of each table in turn, what still works, and what is refused and nothing else.

use std::collections::BTreeSet;

use chat::accounts::{self, External, NewFamily, NewToken};
use chat::devices::{self, Connecting};
use chat::keys::{self, Layout};
use chat::notices::accept::{self, Wanted};
use chat::notices::codes::{self, Asking};
use chat::notices::jobs::{self, End, Job};
use chat::notices::{self, Reach, Scan, Target, Worker};
use chat::notices::{apps, contacts, events, settings, templates};
use chat::push::Decision;
use chat::share::Share;
use chat::timelines::{self, Active, Limits};
use chat::{
    LayerError, arrivals, channels, check, hooks, inbox, mentions, opened, people, posts, presence, push, search,
};
use chat::{unreadable, view};
use futures_lite::future::block_on;
use kv::memory::MemoryEngine;
use kv::{RangeRequest, Row, Transaction};
use schema::command::HistoryWindow;
use schema::limits::PUSH_GRACE_MS;
use schema::page::{Arrival, SessionStart};
use schema::record::{
    AppRecord, ContactRecord, DeliveryState, HookCallRecord, HookRecord, MediaRecord, NodeRecord, PresenceRecord,
    PushItem, UploadRecord,
};
use schema::{
    Attachment, ChannelId, Incarnation, MediaId, MediaKind, Medium, NoticeId, Position, PresenceState, Seq, Stamp,
    UnixMs, UserId,
};

use crate::notices_of_apps;
use crate::templates::template;
use crate::world::{self, WALL, World, account, channel, first_shard, rows, write};

/// What no record of this version begins with: its format is newer.
const NEWER: &[u8] = &[0xEE, 1, 2, 3];
const ME: UserId = UserId(1);
const LIFE: Incarnation = Incarnation(2);

/// A store with a row of nearly every table.
fn world() -> World<MemoryEngine> {
    let long = "가나다".repeat(9_000);
    let mut world =
        world::world(&format!("1 sends a, 2 sends b to 1, d.2 sends c; 2 sends f={long}; 1 adds 4; 1 removes 4"));
    world.run("2 puts e=👍 on 1; 1 marks 2; x.1 makes 2+3 key k; l.1 founds 2+3; l.2 sends a; d.2 edits e=h of 1");
    let engine = &world.engine;
    block_on(people::put_friend(engine, ME, UserId(5), WALL)).expect("asked");
    block_on(people::block(engine, ME, UserId(6), true, WALL)).expect("blocked");
    let online = PresenceRecord { state: PresenceState::Online, last_active_ms: WALL, at_ms: WALL };
    block_on(presence::put(engine, &world.view, first_shard(2), UserId(2), online)).expect("put");
    block_on(accounts::create_user(engine, UserId(10), &account("zoe"), None)).expect("signed up");
    let token = NewToken { hash: [7; 32], expires_ms: WALL.plus_ms(1 << 40) };
    let login = NewFamily { family: 9, device: None, token };
    block_on(accounts::open_family(engine, ME, &login, WALL)).expect("logged in");
    block_on(enter(engine, "first")).expect("an external user has entered");
    block_on(connect(engine)).expect("connected");
    block_on(notify(engine)).expect("told, and not");
    let item = PushItem::new(ME, (channel("g"), Seq(2)), UserId(2), WALL);
    block_on(arrivals::clear(engine, first_shard(2), Stamp::default(), &[item])).expect("written");
    let record = NodeRecord { name: "n".into(), ..NodeRecord::default() };
    block_on(view::register(engine, LIFE, &record)).expect("registered");
    block_on(view::beat(engine, LIFE, &view::Said::default())).expect("beaten");
    while block_on(search::advance(engine, channel("g"))).expect("indexed").more {}
    let record = HookRecord { app: 7, url: "u".into(), secret: "s".into(), events: 1, ..HookRecord::default() };
    block_on(hooks::create(engine, 7, &record)).expect("made").expect("its id is free");
    // A second later it counts.
    world.wall = WALL.plus_ms(1_000);
    world.run("d.1 sends told; d.1 sends untold");
    world.wall = WALL;
    block_on(tell(&world.engine)).expect("told");
    media(&world.engine);
    block_on(feed(&mut world)).expect("posted and read");
    world
}

/// 1 posts what has come to 3, who follows it, and what is on its way. 3 is owed posts of 2, and looks into those of others.
async fn feed(world: &mut World<MemoryEngine>) -> Result<(), LayerError> {
    let (engine, limits) = (world.engine.clone(), Limits::default());
    world.run("A.1 starts feed; A.1 posts v for public; A.1 posts w for friends re 1; B.2 starts feed; B.2 posts u for friends");
    accounts::set_public(&engine, ME, true).await?;
    accounts::set_public(&engine, UserId(2), true).await?;
    people::follow(&engine, UserId(3), ME, WALL).await?;
    timelines::page(&engine, UserId(3), None, 9, (&limits, WALL)).await?;
    fan(&engine).await?;
    people::follow(&engine, UserId(3), UserId(2), WALL).await?;
    write(&engine, |tx| {
        tx.set(&keys::heavy_rest(UserId(2), UserId(3)), &[1]);
        tx.set(&keys::heavy(UserId(3), UserId(9)), &[0, 0, 0, 0, 0, 0, 0, 9]);
    });
    world.run("A.1 posts x for public");
    Ok(())
}

/// One step of each feed that is due.
async fn fan(engine: &MemoryEngine) -> Result<(), LayerError> {
    let worker = Worker::current(engine, LIFE).await?.expect("in the view");
    for channel in timelines::due(engine, &worker, None, 9).await? {
        timelines::fan(engine, &worker, channel, &Active::default(), (&Limits::default(), WALL)).await?;
    }
    Ok(())
}

/// A media that another holds, and an upload.
fn media(engine: &MemoryEngine) {
    let attachment = Attachment {
        media_id: MediaId(7),
        kind: MediaKind::File,
        content_type: "application/octet-stream".into(),
        name: "a".into(),
        bytes: 1,
        width: 0,
        height: 0,
        blurhash: "".into(),
        poster: None,
    };
    let media = MediaRecord {
        owner: ME,
        attachment,
        sha256: [1; 32],
        uploaded_sha256: [1; 32],
        created_ms: WALL,
        reserved_ms: UnixMs(0),
        part_bytes: 1,
        thumbnails: 0,
        thumbnails_type: String::new(),
    };
    let upload = UploadRecord {
        owner: ME,
        name: "b".into(),
        poster: None,
        length: 2,
        offset: 1,
        part_bytes: 1,
        created_ms: WALL,
        expires_ms: WALL,
        became: None,
    };
    write(engine, |tx| {
        tx.set(&keys::media(MediaId(7)), &media.encode());
        tx.set(&keys::media_hash(ME, [1; 32]), &MediaId(7).0.to_be_bytes());
        tx.set(&keys::media_use(MediaId(7), ChannelId(0), Seq(8)), &[1]);
        tx.set(&keys::media_due(WALL, MediaId(8)), &[1]);
        tx.set(&keys::upload(MediaId(8)), &upload.encode());
        tx.set(&keys::media_of_user(ME, MediaId(7)), &[1]);
    });
}

/// An external user comes by a login of this name.
async fn enter(engine: &MemoryEngine, session: &str) -> Result<(), LayerError> {
    let external = External {
        namespace: "issuer".into(),
        subject: "ann".into(),
        session: session.into(),
        issued_s: 1,
        expires_ms: WALL.plus_ms(1 << 40),
        display_name: None,
        picture: None,
        draw: 1,
    };
    accounts::enter(engine, &external, WALL).await.map(drop)
}

/// Tells a hook the first of what there is.
async fn tell(engine: &MemoryEngine) -> Result<(), LayerError> {
    let worker = Worker::current(engine, LIFE).await?.expect("in the view");
    for partition in hooks::due(engine, &worker, 7, None, 9, |_| true).await? {
        let page = hooks::page(engine, 7, partition).await?;
        let (status, why) = (200, String::new());
        let call = HookCallRecord { at_ms: WALL, partition, events: 1, status, took_ms: 1, channel: channel("d"), why };
        let through = page.told.first().map_or(page.through, |first| first.position);
        hooks::note_told(engine, &worker, (7, partition), (page.from, through), (0, &call)).await?;
        hooks::rest(engine, &worker, 7, partition).await?;
    }
    hooks::logged(engine, 7, WALL, 9).await?;
    hooks::replay(engine, 7, WALL).await?;
    hooks::list(engine).await.map(drop)
}

async fn connect(engine: &MemoryEngine) -> Result<SessionStart, LayerError> {
    let device = "phone".parse().expect("a device");
    let connecting = Connecting { user: ME, device, family: 9, client: String::new(), cursor: None };
    devices::open(engine, &connecting, WALL).await
}

/// Leaves two contacts, a job, what became of it and of another, and that one given up.
async fn notify(engine: &MemoryEngine) -> Result<(), LayerError> {
    for device in ["phone", "tablet"] {
        register(engine, device).await?;
    }
    let app = AppRecord { name: "a".into(), created_ms: WALL, scopes: 1, quota_a_day: 9, ..AppRecord::default() };
    let notice = NoticeId::new(WALL, 5);
    let asking = Asking { user: ME, medium: Medium::Mail, address: "a@x", locale: "", code: "1", notice };
    codes::ask(engine, &asking, WALL).await?;
    settings::turn_off(engine, ME, "news", Medium::Mail, WALL).await?;
    let app = apps::create(engine, 7, &app).await?.expect("its id is free");
    let (to, record) = (vec![ME], notices_of_apps::notice("k", 0, 0));
    let wanted = Wanted { id: NoticeId::new(WALL, 1), record, to, content_hash: 1 };
    accept::accept(engine, &app, &wanted, WALL).await?;
    call(engine).await?;
    templates::put(engine, 7, "a", &template("x"), WALL).await?;
    let item = PushItem::new(ME, (channel("g"), Seq(3)), UserId(2), WALL);
    arrivals::clear(engine, first_shard(2), Stamp::default(), &[item]).await?;
    plan(engine).await?;
    let mut ends: Vec<_> = lease(engine).await?.into_iter().map(|job| (job, End::Dead { why: "x".into() })).collect();
    ends[0].1 = End::Again { at: WALL.plus_ms(PUSH_GRACE_MS), counts: true };
    jobs::settle(engine, &ends, WALL).await.map(drop)
}

async fn register(engine: &MemoryEngine, device: &str) -> Result<(), LayerError> {
    let contact = ContactRecord {
        address: device.into(),
        app: String::new(),
        development: false,
        locale: String::new(),
        family: accounts::FAMILY_OPERATOR,
        registered_ms: WALL,
        verified_ms: None,
    };
    let device = device.parse().expect("a device");
    contacts::put_device(engine, ME, &device, Medium::Apns, &contact).await
}

/// Guesses at a code, wrongly.
async fn prove(engine: &MemoryEngine) -> Result<(), LayerError> {
    match codes::prove(engine, ME, Medium::Mail, "0", WALL).await {
        Err(LayerError::Refused(_)) => Ok(()),
        proved => proved,
    }
}

async fn plan(engine: &MemoryEngine) -> Result<(), LayerError> {
    let worker = Worker::current(engine, LIFE).await?.expect("in the view");
    let mut scan = Scan::of(keys::Queue::Pushes);
    notices::plan(engine, &worker, &mut scan, &Reach::by(Medium::ALL), WALL.plus_ms(PUSH_GRACE_MS)).await.map(drop)
}

async fn instances(engine: &MemoryEngine) -> Result<(), LayerError> {
    let worker = Worker::current(engine, LIFE).await?.expect("in the view");
    let mut scan = Scan::of(keys::Queue::Notices);
    notices::instances(engine, &worker, &mut scan, &Reach::by(Medium::ALL), WALL).await.map(drop)
}

async fn call(engine: &MemoryEngine) -> Result<(), LayerError> {
    let url = ("https://shop.example/".to_owned(), "secret".to_owned());
    events::call(engine, 7, Some(&url)).await.map(drop)
}

/// Notes what is heard of everything that its user was told.
async fn hear(engine: &MemoryEngine) -> Result<(), LayerError> {
    let notice = NoticeId::of_message(ME, channel("g"), Seq(3), WALL);
    for device in ["phone", "tablet"] {
        let target = Target { notice, user: ME, medium: Medium::Apns, device: device.into() };
        notices::note(engine, &target, DeliveryState::Opened, "", WALL).await?;
    }
    notices::deliveries(engine, notice, ME).await.map(drop)
}

/// What an application asks that is refused itself where it may not.
async fn ask_as_app(engine: &MemoryEngine) -> Result<(), LayerError> {
    let id = NoticeId::new(WALL, 1);
    for asked in [
        apps::list(engine).await.map(drop),
        apps::revoke(engine, 7).await.map(drop),
        accept::report(engine, 7, id, 10).await.map(drop),
        accept::cancel(engine, 7, id, WALL).await.map(drop),
        events::events(engine, 7, Position::START, 10).await.map(drop),
        call(engine).await,
    ] {
        match asked {
            // A notice of another application, as one that cannot be read may be.
            Ok(()) | Err(LayerError::Refused(_)) => {}
            failed => return failed,
        }
    }
    Ok(())
}

async fn accept_again(engine: &MemoryEngine) -> Result<(), LayerError> {
    let record = AppRecord { name: "a".into(), created_ms: WALL, scopes: 1, quota_a_day: 9, ..AppRecord::default() };
    let (to, notice) = (vec![ME], notices_of_apps::notice("k", 0, 0));
    let wanted = Wanted { id: NoticeId::new(WALL, 2), record: notice, to, content_hash: 1 };
    accept::accept(engine, &apps::App { id: 7, record }, &wanted, WALL).await.map(drop)
}

async fn lease(engine: &MemoryEngine) -> Result<Vec<Job>, LayerError> {
    let worker = Worker::current(engine, LIFE).await?.expect("in the view");
    let mut scan = Scan::of(keys::Queue::Jobs(Medium::Apns));
    let leased = jobs::lease(engine, &worker, &mut scan, WALL.plus_ms(PUSH_GRACE_MS), 10).await?;
    notices::say(engine, &Reach::by(Medium::ALL), &leased.jobs, WALL).await?;
    Ok(leased.jobs)
}

fn table(engine: &MemoryEngine, number: u8) -> Vec<Row> {
    rows(engine, &RangeRequest::new(vec![number], vec![number + 1]))
}

fn spoil(engine: &MemoryEngine, rows: &[Row]) {
    write(engine, |tx| rows.iter().for_each(|row| tx.set(&row.key, NEWER)));
}

fn count(of: &str) -> u64 {
    unreadable::counts().find(|(name, _)| *name == of).expect("a table").1
}

/// What a user and a node ask. The names of what is refused as damaged; anything else that fails is a fault.
fn refused(world: &mut World<MemoryEngine>) -> String {
    let mut refused = Vec::new();
    for (name, script) in [
        ("send", "1 sends p"),
        ("send again", "1 sends a"),
        ("send large", "l.1 sends p"),
        ("mark", "1 marks 3"),
        ("react", "1 puts q=👍 on 1"),
        ("edit", "d.2 edits r=k of 1 at 1"),
        ("mute", "1 mutes on"),
        ("add", "1 adds 4"),
        ("create", "y.1 makes 2+3 key k"),
        ("direct", "z.1 opens 2"),
    ] {
        match world.run(script).as_str() {
            "100" => refused.push(name),
            reply => assert!(!reply.starts_with('1'), "{name} is answered {reply}"),
        }
    }
    let engine = &world.engine;
    let (g, home) = (channel("g"), first_shard(2));
    let limits = inbox::InboxLimits { rows: 100, bytes: 1 << 20, at_connect: true };
    let next = NewToken { hash: [8; 32], expires_ms: WALL.plus_ms(1 << 40) };
    let item = PushItem::new(ME, (g, Seq(2)), UserId(2), WALL);
    let mut ask = |name: &'static str, result: Result<(), LayerError>| match result {
        Ok(()) => {}
        Err(LayerError::Record(_)) => refused.push(name),
        Err(error) => panic!("{name}: {error:?}"),
    };
    let none = BTreeSet::new();
    let arrived = arrivals::read(engine, home, Stamp::default(), 0, &none, 1_000);
    ask("arrivals", block_on(arrived).map(drop));
    ask("inbox", block_on(inbox::read(engine, ME, schema::Position::START, 0, limits)).map(drop));
    ask("snapshot", block_on(inbox::snapshot(engine, ME, None)).map(drop));
    ask("channels", block_on(channels::list(engine, ME, None, 50)).map(drop));
    ask("channel", block_on(channels::get(engine, ME, g)).map(drop));
    ask("members", block_on(channels::members(engine, ME, g, None, 50)).map(drop));
    ask("large", block_on(channels::large_of(engine, ME)).map(drop));
    ask("open", block_on(opened::opened(engine, ME, g)).map(drop));
    ask("history", world.history(1, "g", HistoryWindow::Newest, 50).map(drop));
    ask("mentions", block_on(mentions::list(engine, ME, None, 50)).map(drop));
    ask("friends", block_on(people::friends(engine, ME, None, 50)).map(drop));
    ask("blocks", block_on(people::blocks(engine, ME, None, 50)).map(drop));
    ask("presence", block_on(people::visible(engine, ME, &[UserId(2), UserId(5), UserId(6)], false)).map(drop));
    ask("devices", block_on(devices::list(engine, ME)).map(drop));
    ask("connect", block_on(connect(engine)).map(drop));
    ask("pushes", block_on(push::list(engine, 100)).map(drop));
    ask("decide", block_on(push::decide(engine, &[item], UnixMs(0))).map(drop));
    ask("contact", block_on(register(engine, "phone")));
    ask("settings", block_on(settings::get(engine, ME)).map(drop));
    ask("prove", block_on(prove(engine)));
    ask("plan", block_on(plan(engine)));
    ask("lease", block_on(lease(engine)).map(drop));
    ask("instances", block_on(instances(engine)));
    ask("as app", block_on(ask_as_app(engine)));
    ask("hear", block_on(hear(engine)));
    ask("template", block_on(templates::get(engine, 7, "a", None)).map(drop));
    ask("parameters", block_on(templates::takes(engine, 7, "a")).map(drop));
    ask("templates", block_on(templates::list(engine, 7, None, 9)).map(drop));
    ask("put template", block_on(templates::put(engine, 7, "a", &template("y"), WALL)).map(drop));
    ask("accept", block_on(accept_again(engine)));
    ask("depths", block_on(notices::depths(engine, None, WALL)).map(drop));
    ask("given up", block_on(notices::given_up(engine, Medium::Apns, 10)).map(drop));
    ask("profiles", block_on(accounts::by_ids(engine, &[ME, UserId(2)])).map(drop));
    ask("log in", block_on(accounts::by_username(engine, "zoe")).map(drop));
    ask("enter", block_on(enter(engine, "second")));
    ask("rotate", block_on(accounts::rotate(engine, &[7; 32], &next, WALL)).map(drop));
    ask("beat", block_on(view::beat(engine, LIFE, &view::Said::default())).map(drop));
    ask("view", block_on(view::current(engine)).map(drop));
    ask("tell", block_on(tell(engine)));
    let limits = Limits::default();
    ask("feed", block_on(timelines::posts(engine, UserId(3), None, 9, (&limits, WALL))).map(drop));
    ask("posts", block_on(posts::shown(engine, UserId(3), &[(channel("A"), Seq(1))])).map(drop));
    ask("feed of", block_on(posts::feed_of(engine, ME)).map(drop));
    ask("log", block_on(posts::posts_of(engine, (ME, channel("A")), None, 9)).map(drop));
    ask("counts", block_on(posts::counts(engine, &[ME])).map(drop));
    ask("followers", block_on(people::followers(engine, ME, None, 9)).map(drop));
    ask("followed", block_on(people::followed(engine, UserId(3), None, 9)).map(drop));
    ask("follow", block_on(people::follow(engine, UserId(4), ME, WALL)).map(drop));
    ask("fan", block_on(fan(engine)));
    refused.join(", ")
}

/// What is refused where every row of a table is of a newer version. Of the others nothing is, but for `UNTOUCHED`.
///
/// A list of members that is cached is not read, and muting writes one's own membership anew.
const REFUSED: &[(&str, &str)] = &[
    ("channel", "send, send large, mark, react, edit, mute, add, channel, open, fan"),
    ("dedup", "send again"),
    ("direct", "direct"),
    (
        "fence",
        "send, send again, send large, mark, react, edit, mute, add, create, direct, arrivals, plan, lease, instances, tell, fan",
    ),
    ("former", "add"),
    ("head", "send, send large, mark, react, edit, mute, add, channel, open, history"),
    ("idempotency", "create"),
    ("joined", "add"),
    ("member", "send large, mute, history"),
    ("message", "react, edit"),
    ("read", "mark"),
    ("refresh", "rotate"),
    ("user", "log in, enter, follow"),
    ("username", "log in"),
    ("view", "plan, lease, instances, beat, view, tell, fan"),
    ("tallies", "react"),
    ("device", "connect"),
    ("delivery", "hear"),
    ("app", "as app"),
    ("notice", "as app"),
    ("first notice", "accept"),
    ("settings", "settings"),
    ("code", "prove"),
    ("template", "template, parameters, put template"),
    ("template version", "template, parameters"),
    ("template variant", "template"),
    ("external", "enter"),
    ("hook", "tell"),
    ("feed of", "feed of, follow"),
];

/// Tables without a row in this store, and those whose values nobody reads or the index's own.
const UNTOUCHED: &[&str] =
    &["dedup floor", "import", "inbox floor", "set aside", "clock", "indexed", "posting", "segments"];

#[test]
fn of_each_table_rows_that_cannot_be_read_stop_what_stands_on_them_and_nothing_else() {
    assert_eq!(refused(&mut world()), "", "before anything is spoilt");
    let mut found = Vec::new();
    for Layout { number, name, .. } in keys::layouts().filter(|layout| !UNTOUCHED.contains(&layout.name)) {
        let mut world = world();
        let rows = table(&world.engine, number);
        assert!(!rows.is_empty(), "the store has a row of {name}");
        spoil(&world.engine, &rows);
        let what = refused(&mut world);
        if !what.is_empty() {
            found.push((name, what));
        }
    }
    let found: Vec<(&str, &str)> = found.iter().map(|(name, what)| (*name, what.as_str())).collect();
    assert_eq!(found, REFUSED);
}

#[test]
fn an_arrival_that_cannot_be_read_is_kept_and_those_behind_it_are_told() {
    let mut world = world();
    world.run("1 sends p; 1 sends q; 1 sends r");
    let rows = rows(&world.engine, &keys::arrivals_of(LIFE));
    let (spoilt, before) = (&rows[rows.len() - 2], count("arrival"));
    let read = || {
        let (home, have) = (first_shard(2), BTreeSet::new());
        let page = block_on(arrivals::read(&world.engine, home, Stamp::default(), 0, &have, 1_000));
        let page = page.expect("the others are read");
        let told = |row: &Arrival| row.contents.as_ref().map_or(0, Vec::len);
        (page.rows.iter().filter(|row| told(row) > 0).count(), page.through)
    };
    let (all, _) = read();
    spoil(&world.engine, std::slice::from_ref(spoilt));
    let (told, through) = read();
    assert_eq!(told, all - 1);
    assert!(count("arrival") > before, "it is counted");
    block_on(arrivals::clear(&world.engine, first_shard(2), through, &[])).expect("cleared");
    assert_eq!(block_on(unreadable::kept(&world.engine, 10)).expect("readable"), std::slice::from_ref(&spoilt.key));
    assert_eq!(read().0, 0);
    assert_eq!(world.holds().set_aside, 1);
}

#[test]
fn arrivals_that_an_heir_cannot_read_are_kept_when_it_clears_them() {
    let world = world();
    let rows = table(&world.engine, 1);
    spoil(&world.engine, &rows[..1]);
    block_on(view::end(&world.engine)).expect("ended");
    block_on(push::adopt(&world.engine, WALL, &Share::whole())).expect("adopted");
    assert_eq!(block_on(unreadable::kept(&world.engine, 10)).expect("readable"), [rows[0].key.clone()]);
    assert!(table(&world.engine, 1).is_empty());
}

#[test]
fn a_message_that_cannot_be_read_is_left_out_wherever_it_is_shown() {
    let mut world = world::world("1 sends a; 2 sends b to 1; 3 sends c; 3 puts e=👍 on 1");
    let key = keys::message(channel("g"), Seq(2));
    spoil(&world.engine, &[Row { key: key.clone().into(), value: bytes::Bytes::new() }]);
    assert_eq!(world.inbox(1, 100), "g created 1, d created 1, g#1=a, g#3=c, g#1 +👍1");
    assert_eq!(world.inbox(1, 1), world.inbox(1, 100), "page by page too");
    let page = |window| world.history(1, "g", window, 50).expect("readable");
    let seqs = |window| page(window).messages.iter().map(|message| message.seq.0).collect::<Vec<_>>();
    assert_eq!((seqs(HistoryWindow::Newest), seqs(HistoryWindow::After(Seq(0)))), (vec![1, 3], vec![1, 3]));
    assert!(block_on(mentions::list(&world.engine, ME, None, 50)).expect("readable").messages.is_empty());
    let item = PushItem::new(ME, (channel("g"), Seq(2)), UserId(2), WALL);
    assert_eq!(block_on(push::decide(&world.engine, &[item], UnixMs(0))).expect("decided"), [Decision::Unreadable]);
    assert_eq!(world.run("1 sends p, 2 edits e=x of 2, 1 sends q"), "#4, 100, #5", "the others of its batch go on");
    let found = block_on(check::run(&world.engine, |_| {})).expect_err("damage").to_string();
    assert!(found.starts_with("1 rows cannot be read: message ") && found.contains(&unreadable::hex(&key)), "{found}");
}

#[test]
fn a_batch_row_that_cannot_be_read_is_overwritten_by_the_next_batch() {
    let mut world = world::world("1 sends a");
    let row = keys::batch(first_shard(2), 0);
    spoil(&world.engine, &[Row { key: row.clone().into(), value: bytes::Bytes::new() }]);
    assert_eq!(world.run("1 sends b; 1 sends b"), "#2; #2 again");
    assert_eq!(block_on(unreadable::kept(&world.engine, 10)).expect("readable"), [row]);
}
