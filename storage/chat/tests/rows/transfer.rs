//! A store moved to another holds the same, is sound, begins a new generation, and goes on where it was cut off.

use chat::accounts::FAMILY_OPERATOR;
use chat::devices::{self, Connecting};
use chat::keys;
use chat::transfer::dump::{DumpError, Header, Reader, Totals, Writer};
use chat::transfer::{self, ImportError};
use chat::{LayerError, push};
use futures_lite::future::block_on;
use kv::memory::{CommitFault, MemoryEngine, MemoryStore};
use kv::{Engine, Generation, RangeRequest, Row};
use schema::limits::BODY_INLINE_BYTES_MAX;
use schema::{Cursor, DeviceId, ErrorCode, Position, UserId};

use crate::world::{WALL, World, rows, scripted, world};

/// Every kind of row that goes along: a long body, an edit, a deletion, reactions, mentions, a member who left.
const SCRIPT: &str = "1 sends a, d.1 sends c; 1 adds 4; 2 sends b to 1; 1 edits e=new of 1; 2 deletes x of 2; \
    3 puts r=👍 on 1; 2 marks 1; 1 removes 4; l.1 founds 2+3; l.2 sends m";

/// The same store, always.
fn source() -> World<MemoryEngine> {
    let mut world = world(SCRIPT);
    world.run(&format!("1 sends long={}", "crab".repeat(BODY_INLINE_BYTES_MAX as usize)));
    let phone = connecting(None);
    block_on(devices::open(&world.engine, &phone, WALL)).expect("opened");
    world
}

fn connecting(cursor: Option<Cursor>) -> Connecting {
    let device: DeviceId = "phone".parse().expect("a legal name");
    Connecting { user: UserId(1), device, family: FAMILY_OPERATOR, client: String::new(), cursor }
}

fn empty(generation: u64, fates: &[CommitFault]) -> MemoryEngine {
    scripted(&MemoryStore::new(Generation(generation)), fates)
}

/// The dump of a store, in parts of the rows of one page, and each cut in halves, so that there are some.
fn export(engine: &MemoryEngine) -> Vec<u8> {
    let epoch = block_on(transfer::settle(engine, WALL)).expect("settled");
    let mut writer =
        Writer::begin(Vec::new(), Header { dump: 5, generation: engine.generation(), epoch }).expect("memory");
    let mut after = None;
    loop {
        let rows = block_on(transfer::read(engine, after.as_deref())).expect("readable");
        let Some(last) = rows.last() else { break };
        after = Some(last.key.to_vec());
        rows.chunks(rows.len().div_ceil(2)).for_each(|rows| writer.part(rows).expect("memory"));
    }
    writer.end().expect("memory").0
}

/// Imports what can be read of a dump.
fn import(engine: &MemoryEngine, dump: &[u8]) -> Result<Totals, String> {
    let mut reader = Reader::open(dump).map_err(|error| error.to_string())?;
    let id = reader.header().dump;
    let told = |error: ImportError| error.to_string();
    let there = block_on(transfer::begin(engine, id)).map_err(told)?;
    loop {
        let number = reader.totals().parts;
        let Some(rows) = reader.part().map_err(|error| error.to_string())? else { break };
        if number >= there {
            block_on(transfer::write(engine, id, number, &rows)).map_err(told)?;
        }
    }
    block_on(transfer::finish(engine, id, reader.totals().parts)).map_err(told)?;
    Ok(reader.totals())
}

/// All that goes along, but devices, whose rows change on the way.
fn moved(engine: &MemoryEngine) -> Vec<Row> {
    let mut all = rows(engine, &RangeRequest::new(b"", b"\xFF"));
    all.retain(|row| matches!(keys::transfer(&row.key), Some(keys::Transfer::AsItIs | keys::Transfer::WithFloor)));
    all
}

#[test]
fn the_other_store_holds_the_same_and_is_sound() {
    let from = source();
    let dump = export(&from.engine);
    let check = |fates: &[CommitFault]| {
        let to = empty(8, fates);
        import(&to, &dump).unwrap_or_else(|error| panic!("{fates:?}: {error}"));
        assert_eq!(moved(&to), moved(&from.engine), "{fates:?}");
        let checked = World::claim(to.clone(), 30, 1).holds();
        assert_eq!((checked.channels, checked.messages, checked.inbox_rows), (3, 5, 0), "{fates:?}");
        assert!(!block_on(transfer::unfinished(&to)).expect("readable"));
    };
    use CommitFault::{Conflict, None, Throttled, UnknownCommitted, UnknownLost};
    check(&[]);
    check(&[UnknownCommitted, UnknownCommitted, None, UnknownLost, Conflict, None, UnknownCommitted, Throttled]);
    check(&[UnknownCommitted; 4].repeat(20));
}

#[test]
fn life_goes_on_in_the_other_store() {
    let from = source();
    let old = Cursor { generation: 7, position: Position::end_of(1) };
    let unserved = block_on(push::list(&from.engine, 100)).expect("readable").items.len();
    let to = empty(8, &[]);
    import(&to, &export(&from.engine)).expect("imported");
    // Arrivals that no home had served are items now.
    assert!(block_on(push::list(&to, 100)).expect("readable").items.len() > unserved);
    let refused = block_on(devices::open(&to, &connecting(Some(old)), WALL));
    assert!(
        matches!(&refused, Err(LayerError::Refused(refusal)) if refusal.code == ErrorCode::BadCursor),
        "a cursor of the old store: {refused:?}"
    );
    let mut world = World::claim(to, 30, 2);
    assert_eq!(world.inbox(1, 10), "behind", "what was before is told by a snapshot");
    // The retry of what the old store acknowledged, then something new.
    assert_eq!(world.run("1 sends a; 2 sends f; 3 puts r=👍 on 1"), "#1 again; #4; count 1");
    let opened = block_on(devices::open(&world.engine, &connecting(None), WALL)).expect("opened");
    assert_eq!(opened.cursor.generation, 8);
    world.holds();
}

#[test]
fn an_import_goes_on_where_it_was_cut_off() {
    let from = source();
    let dump = export(&from.engine);
    for cut in (0..dump.len()).step_by(97) {
        let to = empty(8, &[]);
        let early = import(&to, &dump[..cut]).expect_err("it is not whole");
        let known = early.contains("no dump") || early.contains("without an end");
        assert!(known, "cut at {cut}: {early}");
        let begun = !early.contains("no dump");
        assert_eq!(block_on(transfer::unfinished(&to)).expect("readable"), begun, "cut at {cut}");
        import(&to, &dump).unwrap_or_else(|error| panic!("after a cut at {cut}: {error}"));
        assert_eq!(moved(&to), moved(&from.engine), "after a cut at {cut}");
    }
}

#[test]
fn a_damaged_dump_is_noticed_before_it_is_used() {
    let from = source();
    let dump = export(&from.engine);
    for at in (0..dump.len()).step_by(61) {
        let mut damaged = dump.clone();
        damaged[at] ^= 0x10;
        let error = import(&empty(8, &[]), &damaged).expect_err("damaged");
        let known = ["no dump", "is damaged", "without an end"].iter().any(|known| error.contains(known));
        assert!(known, "byte {at}: {error}");
    }
}

#[test]
fn an_import_wants_an_empty_store_and_its_own_dump() {
    let from = source();
    let dump = export(&from.engine);
    let check = |engine: &MemoryEngine, dump: &[u8], expected: &str| {
        let error = import(engine, dump).expect_err(expected);
        assert!(error.contains(expected), "{error}, not {expected}");
    };
    check(&from.engine, &dump, "not empty");
    let begun = empty(8, &[]);
    check(&begun, &dump[..dump.len() / 2], "without an end");
    let mut other = Writer::begin(Vec::new(), Header { dump: 6, generation: Generation(1), epoch: schema::Epoch(1) })
        .expect("memory");
    other.part(&[Row { key: keys::view().into(), value: "".into() }]).expect("memory");
    let other = other.end().expect("memory").0;
    check(&begun, &other, "another dump was begun");
    check(&empty(8, &[]), &other, "does not go along");
    assert!(matches!(Reader::open(&b"PK\x03\x04"[..]), Err(DumpError::NotADump)));
}
