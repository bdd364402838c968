//! Search over the messages that one may read.

use chat::search;

use crate::world::{World, block_on};

/// bora and minsu in a direct channel, all three in a group that yuna joined after its first message.
fn world() -> World {
    let mut world = World::new();
    ["bora", "minsu", "yuna"].iter().for_each(|user| world.sign_up(user));
    world.check(r#"bora POST /v1/channels {"kind":"direct","user_id":"$minsu"} => 201 {"channel_id":"$d"}"#);
    world.check(
        r#"bora POST /v1/channels {"kind":"group","title":"g","member_ids":["$minsu"]} => 201 {"channel_id":"$g"}"#,
    );
    let mut say = |who: &str, channel: &str, id: &str, body: &str| {
        world.advance_ms(1);
        world.check(&format!(
            r#"{who} POST /v1/channels/${channel}/messages {{"client_msg_id":"${id}","body":"{body}"}} => 201"#
        ));
    };
    say("minsu", "d", "m1", "점심 먹으러 갈까?");
    say("bora", "g", "m2", "점심은 lunch");
    say("minsu", "g", "m3", "Lunch at noon");
    world.check("bora PUT /v1/channels/$g/members/$yuna => 200");
    world.advance_ms(1);
    world.check(r#"bora POST /v1/channels/$g/messages {"client_msg_id":"$m4","body":"lunch!"} => 201"#);
    world
}

/// `점심`, as a path writes it.
const LUNCH: &str = "%EC%A0%90%EC%8B%AC";

#[test]
fn a_search_finds_what_one_may_read() {
    let mut world = world();
    for indexed in [false, true] {
        if indexed {
            let behind = std::mem::take(&mut *world.shard.behind.lock().expect("no panic"));
            for name in ["d", "g"] {
                let channel = world.value(name).parse().expect("an id");
                assert!(behind.contains(&channel), "the home of {name} is told: {behind:?}");
                while block_on(search::advance(&world.engine, channel)).expect("indexed").more {}
            }
        }
        world.check(&format!(r#"bora GET /v1/search?q={LUNCH} => 200 {{"hits":[{{"channel_id":"$g","seq":1,"from":"$bora","sent_ms":1800000000002,"snippet":"점심은 lunch"}},{{"channel_id":"$d","seq":1,"from":"$minsu"}}],"more":false}}"#));
        world.check(r#"bora GET /v1/search?q=lunch => 200 {"hits":[{"seq":3},{"seq":2},{"seq":1}]}"#);
        world.check(r#"bora GET /v1/search?q=lunch+noon => 200 {"hits":[{"seq":2,"snippet":"Lunch at noon"}]}"#);
        world.check(r#"yuna GET /v1/search?q=lunch => 200 {"hits":[{"seq":3}]}"#);
        world.check(r#"bora GET /v1/search?q=lunch&from=$minsu => 200 {"hits":[{"seq":2}]}"#);
        world.check(r#"bora GET /v1/search?q=lunch&channel_id=$d => 200 {"hits":[]}"#);
        world.check(r#"bora GET /v1/search?q=lunch&limit=1 => 200 {"hits":[{"seq":3,"sent_ms":"$last"}],"more":true,"cursor":"$next"}"#);
        world.check(r#"bora GET /v1/search?q=lunch&limit=1&cursor=$next => 200 {"hits":[{"seq":2}],"more":true}"#);
        world.check(r#"bora GET /v1/search?q=lunch&limit=1&before_ms=$last => 200 {"hits":[{"seq":2}],"more":true}"#);
        world.check(r#"bora GET /v1/search?q=lunch&limit=4294967295 => 200 {"hits":["*","*","*"]}"#);
    }
    assert!(world.shard.behind.lock().expect("no panic").is_empty(), "what is indexed is not behind");
}

#[test]
fn pages_reach_hits_that_were_sent_in_one_millisecond() {
    let mut world = world();
    for id in ["m5", "m6", "m7", "m8", "m9"] {
        world.check(&format!(r#"bora POST /v1/channels/$d/messages {{"client_msg_id":"${id}","body":"crab"}} => 201"#));
    }
    assert_eq!(world.pages("bora GET /v1/search?q=crab&limit=2", "hits", "seq"), ["6", "5", "4", "3", "2"]);
}

#[test]
fn a_search_for_nothing_legal_is_refused() {
    let mut world = world();
    let (fits, over, far) = ("a".repeat(200), "a".repeat(201), "a".repeat(10_000));
    world.check(&format!(r#"bora GET /v1/search?q={fits} => 200 {{"hits":[]}}"#));
    world.check(&format!(r#"bora GET /v1/search?q={over} => 400 {{"code":106}}"#));
    world.check(&format!(r#"bora GET /v1/search?q={far} => 400 {{"code":106}}"#));
    for query in [
        "",
        "q=",
        "q=%21%3F",
        "q=x&limit=0",
        "q=x&limit=-1",
        "q=x&before_ms=x",
        "q=x&cursor=x",
        "q=x&from=x",
        "q=x&channel_id=x",
    ] {
        world.check(&format!(r#"bora GET /v1/search?{query} => 400 {{"code":107}}"#));
    }
    world.check(r#"yuna GET /v1/search?q=x&channel_id=$d => 404 {"code":102}"#);
    world.check(r#"yuna GET /v1/search?q=x&channel_id=7 => 404 {"code":102}"#);
    world.check(r#"GET /v1/search?q=x => 401 {"code":101}"#);
}

#[test]
fn a_search_costs_as_much_as_twenty_requests() {
    let mut world = world();
    let refused = (0..300).find(|_| {
        let answer = world.ask("bora GET /v1/search?q=lunch");
        assert!([200, 429].contains(&answer.status), "{}", answer.body);
        answer.status == 429
    });
    assert!(
        refused.is_some_and(|asked| asked >= 95),
        "of 2,000 each costs 20, and 100 a second come back: {refused:?}"
    );
    world.check("minsu GET /v1/search?q=lunch => 200");
}
