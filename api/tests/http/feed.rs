//! News feeds: posts, who sees them, likes and replies, pages.

use std::time::Duration;

use serde_json::Value;

use crate::world::World;

/// A world in which bora and minsu are friends, and yuna is nobody's.
fn world() -> World {
    let mut world = World::new();
    ["bora", "minsu", "yuna"].iter().for_each(|user| world.sign_up(user));
    befriend(&mut world, "bora", "minsu");
    world
}

fn befriend(world: &mut World, one: &str, other: &str) {
    world.check(&format!("{one} PUT /v1/me/friends/${other} => 200"));
    world.check(&format!(r#"{other} PUT /v1/me/friends/${one} => 200 {{"state":"accepted"}}"#));
}

/// Posts a text for friends, and brings it to them.
fn post(world: &mut World, user: &str, id: &str, body: &str, name: &str) {
    world.advance_ms(10);
    world.check(&format!(
        r#"{user} POST /v1/me/feed {{"client_post_id":"${id}","body":"{body}","audience":"friends"}} => 201 {{"post_id":"${name}","author":"${user}"}}"#
    ));
    world.fan_out();
}

/// The texts of a page, and its cursor.
fn page(world: &mut World, user: &str, path: &str) -> (Vec<String>, Option<String>) {
    let answer = world.check(&format!("{user} GET {path} => 200"));
    let page: Value = serde_json::from_str(&answer.body).expect("JSON");
    let text = |post: &Value| post["body"].as_str().expect("a text").to_owned();
    let cursor = page["cursor"].as_str().map(str::to_owned);
    assert_eq!(page["more"].as_bool(), Some(cursor.is_some()), "{page}");
    (page["posts"].as_array().expect("posts").iter().map(text).collect(), cursor)
}

fn bodies(world: &mut World, user: &str, path: &str) -> Vec<String> {
    page(world, user, path).0
}

#[test]
fn a_post_is_in_the_feeds_of_friends_and_nobody_elses() {
    let mut world = world();
    // Who never reads its feed gets no rows: it is made when it is read.
    assert_eq!(bodies(&mut world, "minsu", "/v1/me/feed").len(), 0);
    world.check(r#"bora POST /v1/me/feed {"client_post_id":"$m1","body":"snow","audience":"friends"} => 201 {"post_id":"$p","author":"$bora","seq":1,"sent_ms":1800000000000}"#);
    world.check(r#"bora POST /v1/me/feed {"client_post_id":"$m1","body":"snow","audience":"friends"} => 200 {"post_id":"$p","seq":1}"#);
    world.check(
        r#"bora POST /v1/me/feed {"client_post_id":"$m1","body":"rain","audience":"friends"} => 409 {"code":121}"#,
    );
    let minsu = world.user("minsu");
    assert_eq!(world.fan_out(), [minsu]);
    world.check(r#"minsu GET /v1/me/feed => 200 {"posts":[{"post_id":"$p","author":{"user_id":"$bora","username":"bora","display_name":"bora"},"body":"snow","audience":"friends","likes":0,"liked":false,"replies":0,"revision":0}],"more":false}"#);
    world.check(r#"bora GET /v1/me/feed => 200 {"posts":[],"more":false}"#);
    world.check(r#"yuna GET /v1/me/feed => 200 {"posts":[]}"#);
    for (user, posts) in [("bora", 1), ("minsu", 1), ("yuna", 0)] {
        assert_eq!(bodies(&mut world, user, "/v1/users/$bora/feed").len(), posts, "{user}");
    }
    world.check(r#"minsu GET /v1/posts/$p => 200 {"body":"snow"}"#);
    world.check(r#"yuna GET /v1/posts/$p => 404 {"code":123}"#);
    // Nor does a page tell that there is something.
    world.check(r#"bora POST /v1/me/feed {"client_post_id":"$m2","body":"rain","audience":"friends"} => 201"#);
    world.check(r#"yuna GET /v1/users/$bora/feed?limit=1 => 200 {"posts":[],"more":false,"cursor":null}"#);
    world.check(r#"bora PATCH /v1/me {"public":true} => 200"#);
    world.check(r#"bora POST /v1/me/feed {"client_post_id":"$m3","body":"sun","audience":"public"} => 201"#);
    world
        .check(r#"yuna GET /v1/users/$bora/feed?limit=1 => 200 {"posts":[{"body":"sun"}],"more":false,"cursor":null}"#);
}

#[test]
fn what_one_may_not_see_is_not_there() {
    let mut world = world();
    post(&mut world, "bora", "m1", "snow", "p");
    for row in [
        "GET /v1/posts/$p",
        r#"PATCH /v1/posts/$p {"body":"mine","base_revision":0}"#,
        "DELETE /v1/posts/$p",
        "PUT /v1/posts/$p/like",
        "DELETE /v1/posts/$p/like",
        "GET /v1/posts/$p/likes",
        "GET /v1/posts/$p/replies",
        r#"POST /v1/posts/$p/replies {"client_post_id":"$m2","body":"hi"}"#,
    ] {
        world.check(&format!(r#"yuna {row} => 404 {{"code":123,"temporary":false}}"#));
    }
    // A friend sees it and may not change it.
    world.check(r#"minsu PATCH /v1/posts/$p {"body":"mine","base_revision":0} => 403 {"code":103}"#);
    world.check(r#"minsu DELETE /v1/posts/$p => 403 {"code":103}"#);
    world.check(r#"bora GET /v1/posts/$p => 200 {"body":"snow","likes":0,"replies":0}"#);
}

#[test]
fn who_likes_a_post_reads_that_it_does() {
    let mut world = world();
    post(&mut world, "bora", "m1", "snow", "p");
    let liked =
        |liked, likes| format!(r#"minsu GET /v1/me/feed => 200 {{"posts":[{{"likes":{likes},"liked":{liked}}}]}}"#);
    world.check(&liked(false, 0));
    world.check(r#"minsu PUT /v1/posts/$p/like => 200 {"likes":1,"liked":true}"#);
    world.check(&liked(true, 1));
    world.check(r#"minsu PUT /v1/posts/$p/like => 200 {"likes":1,"liked":true}"#);
    world.check(r#"bora PUT /v1/posts/$p/like => 200 {"likes":2,"liked":true}"#);
    world.check(&liked(true, 2));
    world.check(r#"minsu GET /v1/posts/$p/likes?limit=1 => 200 {"people":[{"user_id":"$one","username":"*"}],"more":true,"cursor":"$one"}"#);
    world.check(
        r#"minsu GET /v1/posts/$p/likes?limit=1&cursor=$one => 200 {"people":[{"user_id":"$two"}],"more":false}"#,
    );
    assert_ne!(world.value("one"), world.value("two"));
    world.check(r#"minsu DELETE /v1/posts/$p/like => 200 {"likes":1,"liked":false}"#);
    world.check(&liked(false, 1));
    world.check(r#"minsu DELETE /v1/posts/$p/like => 200 {"likes":1,"liked":false}"#);
}

#[test]
fn a_reply_is_for_those_who_see_the_post() {
    let mut world = world();
    post(&mut world, "bora", "m1", "snow", "p");
    world.check(r#"minsu POST /v1/posts/$p/replies {"client_post_id":"$m2","body":"here too"} => 201 {"post_id":"$r","author":"$minsu","seq":2}"#);
    world
        .check(r#"minsu POST /v1/posts/$p/replies {"client_post_id":"$m2","body":"here too"} => 200 {"post_id":"$r"}"#);
    world.check(r#"minsu GET /v1/me/feed => 200 {"posts":[{"replies":1}]}"#);
    world.check(r#"bora GET /v1/posts/$p/replies => 200 {"replies":[{"post_id":"$r","reply_to":"$p","author":{"user_id":"$minsu"},"body":"here too","likes":0,"liked":false}],"more":false}"#);
    world.check(r#"bora PUT /v1/posts/$r/like => 200 {"likes":1,"liked":true}"#);
    world.check(r#"bora GET /v1/posts/$p/replies => 200 {"replies":[{"likes":1,"liked":true}]}"#);
    world.check(r#"bora GET /v1/posts/$r => 200 {"reply_to":"$p","likes":1}"#);
    world.check(r#"yuna GET /v1/posts/$r => 404 {"code":123}"#);
    world.check(r#"bora POST /v1/posts/$r/replies {"client_post_id":"$m3","body":"deeper"} => 400 {"code":107}"#);
    // It is no post: nobody has it in a feed.
    assert_eq!(bodies(&mut world, "bora", "/v1/me/feed").len(), 0);
    assert_eq!(bodies(&mut world, "minsu", "/v1/users/$minsu/feed").len(), 0);
    // Whose post it is may take it away, also from one who has blocked it since.
    world.check("minsu PUT /v1/me/blocks/$bora => 200");
    world.check(r#"bora GET /v1/posts/$r => 404 {"code":123}"#);
    world.check("bora DELETE /v1/posts/$r => 204");
    world.check("minsu DELETE /v1/me/blocks/$bora => 204");
    befriend(&mut world, "minsu", "bora");
    world.check(r#"minsu GET /v1/me/feed => 200 {"posts":[{"replies":0}]}"#);
    world.check(r#"minsu GET /v1/posts/$r => 404 {"code":123}"#);
}

#[test]
fn what_was_deleted_or_ended_is_not_shown() {
    let mut world = world();
    post(&mut world, "bora", "m1", "snow", "p");
    post(&mut world, "bora", "m2", "rain", "q");
    assert_eq!(bodies(&mut world, "minsu", "/v1/me/feed"), ["rain", "snow"]);
    world.check(r#"bora PATCH /v1/posts/$q {"body":"hail","base_revision":0} => 200 {"body":"hail","revision":1}"#);
    assert_eq!(bodies(&mut world, "minsu", "/v1/me/feed"), ["hail", "snow"]);
    world.check(r#"bora PATCH /v1/posts/$q {"body":"sun","base_revision":0} => 409 {"code":122}"#);
    world.check("bora DELETE /v1/posts/$q => 204");
    assert_eq!(bodies(&mut world, "minsu", "/v1/me/feed"), ["snow"]);
    world.check(r#"minsu GET /v1/posts/$q => 404 {"code":123}"#);
    world.check("minsu DELETE /v1/me/friends/$bora => 204");
    assert_eq!(bodies(&mut world, "minsu", "/v1/me/feed").len(), 0);
    world.check(r#"minsu GET /v1/posts/$p => 404 {"code":123}"#);
    // What was there before they were friends comes with them.
    befriend(&mut world, "minsu", "bora");
    assert_eq!(bodies(&mut world, "minsu", "/v1/me/feed"), ["snow"]);
    world.check("minsu PUT /v1/me/blocks/$bora => 200");
    assert_eq!(bodies(&mut world, "minsu", "/v1/me/feed").len(), 0);
    for row in ["GET /v1/posts/$p", "PUT /v1/posts/$p/like"] {
        world.check(&format!(r#"minsu {row} => 404 {{"code":123}}"#));
        world.check("bora PUT /v1/me/friends/$minsu => 403");
    }
}

#[test]
fn public_posts_of_a_public_account_come_to_who_follows_it() {
    let mut world = world();
    let public = r#"{"client_post_id":"$m1","body":"to all","audience":"public"}"#;
    // While the account is not public its public posts are for friends.
    world.check(&format!("bora POST /v1/me/feed {public} => 201"));
    assert_eq!(bodies(&mut world, "yuna", "/v1/users/$bora/feed").len(), 0);
    world.check(r#"yuna PUT /v1/users/$bora/follow => 403 {"code":103}"#);
    world.check(
        r#"bora PATCH /v1/me {"public":true} => 200 {"public":true,"counts":{"posts":1,"followers":0,"following":0}}"#,
    );
    assert_eq!(bodies(&mut world, "yuna", "/v1/users/$bora/feed"), ["to all"], "it is at once");
    world.check(r#"yuna PUT /v1/users/$bora/follow => 200 {"user_id":"$bora","following":true}"#);
    world.check(r#"yuna PUT /v1/users/$bora/follow => 200 {"following":true}"#);
    world.check(r#"yuna PUT /v1/users/$yuna/follow => 400 {"code":107}"#);
    world.check(r#"yuna PUT /v1/users/1/follow => 404 {"code":102}"#);
    post(&mut world, "bora", "m2", "to friends", "f");
    assert_eq!(bodies(&mut world, "yuna", "/v1/me/feed"), ["to all"]);
    assert_eq!(bodies(&mut world, "minsu", "/v1/me/feed"), ["to friends", "to all"]);
    assert_eq!(bodies(&mut world, "yuna", "/v1/users/$bora/feed"), ["to all"]);
    world.check(r#"yuna GET /v1/users/$bora => 200 {"public":true,"following":true,"counts":{"posts":2,"followers":1,"following":0}}"#);
    world.check(r#"yuna GET /v1/me => 200 {"public":false,"counts":{"posts":0,"followers":0,"following":1}}"#);
    world.check(r#"yuna DELETE /v1/users/$bora/follow => 200 {"user_id":"$bora","following":false}"#);
    assert_eq!(bodies(&mut world, "yuna", "/v1/me/feed").len(), 0);
    world.check(r#"yuna GET /v1/users?username=bora => 200 {"following":false,"counts":{"followers":0}}"#);
    world.check(r#"bora PATCH /v1/me {"public":false} => 200 {"public":false}"#);
    assert_eq!(bodies(&mut world, "yuna", "/v1/users/$bora/feed").len(), 0);
}

#[test]
fn pages_neither_repeat_nor_skip_while_posts_arrive() {
    let mut world = world();
    let ids: Vec<String> = (1..=9).map(|at| format!("m{at}")).collect();
    for id in &ids[..6] {
        post(&mut world, "bora", id, id, &format!("p{id}"));
    }
    let (first, cursor) = page(&mut world, "minsu", "/v1/me/feed?limit=2");
    assert_eq!(first, ["m6", "m5"]);
    post(&mut world, "bora", "m7", "m7", "q");
    let cursor = cursor.expect("there are more");
    let (second, next) = page(&mut world, "minsu", &format!("/v1/me/feed?limit=2&cursor={cursor}"));
    assert_eq!(second, ["m4", "m3"]);
    // It is the same again.
    assert_eq!(page(&mut world, "minsu", &format!("/v1/me/feed?limit=2&cursor={cursor}")), (second, next.clone()));
    let next = next.expect("there are more");
    let (third, end) = page(&mut world, "minsu", &format!("/v1/me/feed?limit=20&cursor={next}"));
    assert_eq!((third, end), (vec!["m2".to_owned(), "m1".to_owned()], None));
    assert_eq!(bodies(&mut world, "minsu", "/v1/me/feed?limit=1"), ["m7"]);
    for query in ["cursor=x", "cursor=1-2", "limit=0", "limit=-1", "limit=x"] {
        world.check(&format!(r#"minsu GET /v1/me/feed?{query} => 400 {{"code":107}}"#));
        world.check(&format!(r#"minsu GET /v1/users/$bora/feed?{query} => 400 {{"code":107}}"#));
    }
    assert_eq!(bodies(&mut world, "minsu", "/v1/me/feed?limit=4294967295").len(), 7);
}

#[test]
fn of_an_author_with_many_readers_nothing_is_missing_or_doubled() {
    let mut world = world();
    post(&mut world, "bora", "m1", "to two", "p");
    // Beyond four readers whoever reads merges.
    for name in ["ada", "eli", "ivo", "oda", "uta"] {
        world.sign_up(name);
        befriend(&mut world, name, "bora");
    }
    post(&mut world, "bora", "m2", "to six", "q");
    world.sign_up("zoe");
    befriend(&mut world, "zoe", "bora");
    post(&mut world, "bora", "m3", "to seven", "r");
    for name in ["minsu", "ada", "uta", "zoe"] {
        assert_eq!(bodies(&mut world, name, "/v1/me/feed"), ["to seven", "to six", "to two"], "{name}");
    }
    // And back.
    for name in ["ada", "eli", "ivo", "oda"] {
        world.check(&format!("{name} DELETE /v1/me/friends/$bora => 204"));
    }
    post(&mut world, "bora", "m4", "to three", "s");
    // Nobody was told, so what was read before is believed for two seconds.
    std::thread::sleep(Duration::from_millis(2_050));
    for name in ["minsu", "uta", "zoe"] {
        assert_eq!(bodies(&mut world, name, "/v1/me/feed"), ["to three", "to seven", "to six", "to two"], "{name}");
    }
    assert_eq!(bodies(&mut world, "ada", "/v1/me/feed").len(), 0);
}

#[test]
fn a_post_is_within_its_limits() {
    let mut world = world();
    let text = "ü".repeat(5_000);
    let send = |body: &str, id: u8| {
        format!(r#"bora POST /v1/me/feed {{"client_post_id":"$m{id}","body":"{body}","audience":"friends"}}"#)
    };
    world.check(&format!(r#"{} => 413 {{"code":116}}"#, send(&format!("{text}x"), 1)));
    world.check(&format!(r#"{} => 400 {{"code":107}}"#, send("", 1)));
    world.check(r#"bora POST /v1/me/feed {"client_post_id":"x","body":"a","audience":"friends"} => 400 {"code":107}"#);
    world.check(
        r#"bora POST /v1/me/feed {"client_post_id":"$m1","body":"a","audience":"everybody"} => 400 {"code":107}"#,
    );
    world.check(r#"bora POST /v1/me/feed {"client_post_id":"$m1","body":"a"} => 400 {"code":107}"#);
    let named = format!("[{}]", ["\"1\""; 51].join(","));
    world.check(&format!(r#"bora POST /v1/me/feed {{"client_post_id":"$m1","body":"a","audience":"friends","mentions":{named}}} => 400 {{"code":106}}"#));
    // None of these has left anything behind.
    world.check(r#"bora GET /v1/me => 200 {"counts":{"posts":0}}"#);
    world.check(&format!(r#"{} => 201 {{"post_id":"$p"}}"#, send(&text, 1)));
    world.check(&format!(r#"bora PATCH /v1/posts/$p {{"body":"{text}x","base_revision":0}} => 413 {{"code":116}}"#));
    for id in ["x", "1", "1-", "-1", "0-1", "01-1", "1-1-1"] {
        world.check(&format!(r#"bora GET /v1/posts/{id} => 400 {{"code":107}}"#));
    }
    world.check(r#"bora GET /v1/posts/1-1 => 404 {"code":123}"#);
    for id in 2..=9 {
        world.check(&format!("{} => 201", send("a", id)));
    }
    // One that is sent again counts no second time, and the tenth is a reply: they count as posts do.
    world.check(&format!(r#"{} => 200"#, send(&text, 1)));
    let id = schema::ClientMsgId::new(world.wall(), 10);
    world.name("ten", id);
    world.check(r#"bora POST /v1/posts/$p/replies {"client_post_id":"$ten","body":"a"} => 201"#);
    let id = schema::ClientMsgId::new(world.wall(), 11);
    world.name("eleven", id);
    let eleventh = r#"bora POST /v1/me/feed {"client_post_id":"$eleven","body":"a","audience":"friends"}"#;
    world.check(&format!(r#"{eleventh} => 429 {{"code":111,"retry_after_ms":6000}}"#));
    world.check_counted("posts", 1);
    // So does who sends one again: whether it is there is the store's to say.
    world.check(&format!(r#"{} => 429"#, send(&text, 1)));
    world.advance_ms(6_000);
    world.check(&format!("{eleventh} => 201"));
}
