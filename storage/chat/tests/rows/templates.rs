//! Templates of applications: versions, what is the same, what is forgotten, and which one a notice is told by.

use chat::notices::templates::{self, TemplatesPage};
use chat::{LayerError, keys};
use futures_lite::future::block_on;
use kv::RangeRequest;
use kv::memory::CommitFault::{Conflict, UnknownCommitted, UnknownLost};
use kv::memory::MemoryEngine;
use schema::Medium;
use schema::limits::{TEMPLATE_BYTES_MAX, TEMPLATE_VARIANT_BYTES_MAX, TEMPLATES_OF_APP_MAX};
use schema::record::NoticeRecord;
use schema::template::{Kind, Parameter, Template, Variant};

use crate::notices_of_apps::{APP, Shop, notice};
use crate::world::{WALL, faulty, rows, scripted, store, words};

pub(crate) fn variant(locale: &str, medium: Option<Medium>, body: &str) -> Variant {
    Variant { locale: locale.to_owned(), medium, title: "On its way".to_owned(), body: body.to_owned(), html: None }
}

/// One that says this, by mail too, and takes one parameter.
pub(crate) fn template(body: &str) -> Template {
    let html = Some(format!("<p>{body}</p>"));
    Template {
        default_locale: "en".to_owned(),
        parameters: vec![Parameter { name: "n".to_owned(), kind: Kind::Text, required: true, max_chars: Some(9) }],
        variants: vec![variant("en", None, body), Variant { html, ..variant("en", Some(Medium::Mail), body) }],
    }
}

/// Carries out words: `name=body` stores a template, `other/name=body` one of another application, `name-` deletes one,
/// `name?` reads the newest version and `name?2` the second, `list` and `list>name` read two names. What each comes to: a
/// version, a text, a code.
fn run(engine: &MemoryEngine, story: &str) -> String {
    let number = |version: &str| version.parse::<u32>().expect("a version");
    let one = |word: &str| {
        let (app, word) = word.strip_prefix("other/").map_or((APP, word), |word| (APP + 1, word));
        let asked: Result<String, LayerError> = if let Some(after) = word.strip_prefix("list") {
            let page = block_on(templates::list(engine, app, after.strip_prefix('>'), 2));
            page.map(|TemplatesPage { templates, more }| {
                let names: Vec<_> = templates.iter().map(|(name, version)| format!("{name}{version}")).collect();
                names.join("+") + if more { "+…" } else { "" }
            })
        } else if let Some((name, body)) = word.split_once('=') {
            let put = block_on(templates::put(engine, app, name, &template(body), WALL));
            put.map(|version| version.to_string())
        } else if let Some(name) = word.strip_suffix('-') {
            block_on(templates::delete(engine, app, name)).map(|was_there| was_there.to_string())
        } else {
            let (name, version) = word.split_once('?').expect("a word of the list");
            let version = Some(version).filter(|version| !version.is_empty()).map(number);
            let read = block_on(templates::get(engine, app, name, version));
            read.map(|stored| match stored {
                Some(stored) => format!("{}:{}", stored.version, stored.template.variants[0].body),
                None => "none".to_owned(),
            })
        };
        words(asked)
    };
    story.split_whitespace().map(one).collect::<Vec<_>>().join(" ")
}

fn check(story: &str, expected: &str) {
    assert_eq!(run(&faulty(&store(), &[]), story), expected, "{story}");
}

/// Rows of the three tables.
fn held(engine: &MemoryEngine) -> [usize; 3] {
    [65, 66, 67].map(|table: u8| rows(engine, &RangeRequest::prefix(&[table])).len())
}

#[test]
fn a_template_has_a_version_for_each_content_that_follows_another() {
    check("a=x a? a=x a=y a? a?1", "1 1:x 1 2 2:y 1:x");
    check("a=x a=y a=x a=x a?", "1 2 3 3 3:x");
    check("a=x b=x other/a=y a? b? other/a?", "1 1 1 1:x 1:x 1:y");
    check("a? a=x a?2 a?0 ab?", "none 1 none none none");
}

#[test]
fn the_order_in_which_variants_are_given_does_not_matter() {
    let engine = faulty(&store(), &[]);
    let mut turned = template("x");
    turned.variants.reverse();
    let put = |template: &Template| block_on(templates::put(&engine, APP, "a", template, WALL)).ok();
    assert_eq!([put(&template("x")), put(&turned), put(&template("y"))], [Some(1), Some(1), Some(2)]);
    let stored = block_on(templates::get(&engine, APP, "a", Some(1))).expect("readable").expect("it is there");
    assert_eq!((stored.template, stored.created_ms), (template("x"), WALL), "it is as it was given");
}

#[test]
fn names_are_listed_in_pages_with_their_newest_versions() {
    check("list a=x c=x b=x b=y list list>b list>c other/list", " 1 1 1 2 a1+b2+… c1  ");
}

#[test]
fn what_is_deleted_is_gone_with_its_versions_and_no_version_is_there_twice() {
    check("a=x a=y a- a? a?1 a- list a=z a? a?1", "1 2 true none none false  3 3:z none");
    check("a=x a=y b=x a- c=x b=y other/c=x b- c- d=x", "1 2 1 true 3 2 1 true true 4");
    let engine = faulty(&store(), &[]);
    run(&engine, "a=x a=y b=x a- b-");
    assert_eq!(held(&engine), [1, 0, 0], "but for the number");
}

#[test]
fn of_many_versions_the_newest_are_kept() {
    let engine = faulty(&store(), &[]);
    for version in 1..=60 {
        assert_eq!(run(&engine, &format!("a=x{version}")), version.to_string());
    }
    assert_eq!(run(&engine, "a?10 a?11 a?"), "none 11:x11 60:x60");
    assert_eq!(held(&engine), [1, 50, 100]);
    assert_eq!(run(&engine, "a-"), "true");
    assert_eq!(held(&engine), [1, 0, 0]);
}

#[test]
fn a_template_is_stored_once_however_its_commit_ends() {
    for fates in [&[UnknownCommitted][..], &[UnknownLost], &[Conflict, UnknownCommitted, UnknownLost]] {
        let store = store();
        assert_eq!(run(&scripted(&store, fates), "a=x"), "1", "{fates:?}");
        assert_eq!(run(&scripted(&store, fates), "a=y"), "2", "{fates:?}");
        assert_eq!(run(&scripted(&store, fates), "a-"), "true", "{fates:?}");
        assert_eq!(run(&scripted(&store, &[]), "a? a=x"), "none 3", "{fates:?}");
    }
}

#[test]
fn an_application_has_so_many_templates_and_the_largest_fits() {
    let engine = faulty(&store(), &[]);
    let largest = |bytes: u32| "x".repeat(bytes as usize - "On its way".len());
    let at_once = TEMPLATE_BYTES_MAX / TEMPLATE_VARIANT_BYTES_MAX;
    let variants = (0..at_once).map(|at| variant(&format!("x{at}"), None, &largest(TEMPLATE_VARIANT_BYTES_MAX)));
    let large = Template { variants: variants.collect(), ..template("") };
    assert_eq!(block_on(templates::put(&engine, APP, "large", &large, WALL)).ok(), Some(1));
    assert_eq!(block_on(templates::put(&engine, APP, "large", &large, WALL)).ok(), Some(1));
    for number in 1..TEMPLATES_OF_APP_MAX {
        assert_eq!(run(&engine, &format!("a{number}=x")), "1", "{number}");
    }
    assert_eq!(run(&engine, "b=x a7=y other/b=x a1- b=x c=x"), "106 2 1 true 2 106");
}

/// What a notice says that was accepted with a version of the template: what is stored before and after that.
fn told(before: &str, version: u32, after: &str) -> String {
    let mut shop = Shop::open(0);
    let engine = shop.world.engine.clone();
    run(&engine, before);
    let by = NoticeRecord { template: "a".to_owned(), template_version: version, ..notice("", 0, 0) };
    assert_eq!(shop.accept(by, 1), "new 1");
    run(&engine, after);
    shop.told(&[Medium::WebPush])
}

#[test]
fn a_notice_is_told_by_the_version_that_it_was_accepted_with() {
    let check = |before: &str, version, after: &str, expected: &str| {
        assert_eq!(told(before, version, after), format!("2 laptop: {expected}"), "{before}, {version}, {after}");
    };
    check("a=x", 1, "", "On its way by a1=x");
    check("a=x", 1, "a=y", "On its way by a1=x");
    check("a=x a=y", 2, "", "On its way by a2=y");
    // Where it is gone, by the newest, and where none is there any more, by none.
    let many: Vec<_> = (0..50).map(|version| format!("a=y{version}")).collect();
    check("a=x", 1, &many.join(" "), "On its way by a51=y49");
    check("a=x", 1, "a- a=y", "On its way by a2=y");
    check("a=x", 1, "a-", "On its way by nothing");
    check("other/a=x", 1, "", "On its way by nothing");
}

#[test]
fn one_whose_template_cannot_be_read_is_not_told_and_the_others_are() {
    let mut shop = Shop::open(0);
    let engine = shop.world.engine.clone();
    run(&engine, "a=x b=x");
    for name in ["a", "b"] {
        let by = NoticeRecord { template: name.to_owned(), template_version: 1, ..notice("", 0, 0) };
        shop.accept(by, 1);
    }
    crate::world::write(&engine, |tx| kv::Transaction::set(tx, &keys::template_variant(APP, 1, 0, "a"), b"?"));
    assert_eq!(shop.told(&[Medium::WebPush]), "2 laptop: On its way by b1=x, 2 laptop: unreadable");
    let read = block_on(templates::get(&engine, APP, "a", None));
    assert!(matches!(read, Err(LayerError::Record(_))), "{read:?}");
    assert_eq!(run(&engine, "a=x a?"), "2 2:x", "who stores it again mends it");
}
