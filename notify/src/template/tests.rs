//! What is compiled, checked and rendered, and what is refused and in which words.

use std::time::Instant;

use schema::Medium;
use schema::limits::{TEMPLATE_BYTES_MAX, TEMPLATE_PARAMETERS_MAX};
use schema::template::{Kind, Template};
use serde_json::json;

use super::*;

fn parameter(name: &str, kind: Kind, required: bool, max_chars: Option<u32>) -> Parameter {
    Parameter { name: name.to_owned(), kind, required, max_chars }
}

fn variant(title: &str, body: &str, html: Option<&str>) -> Variant {
    Variant {
        locale: "en".to_owned(),
        medium: None,
        title: title.to_owned(),
        body: body.to_owned(),
        html: html.map(str::to_owned),
    }
}

/// Of one variant. Takes a name, a number of parcels, a list of them, a place and whether it is urgent.
fn template(title: &str, body: &str, html: Option<&str>) -> Template {
    Template {
        default_locale: "en".to_owned(),
        parameters: vec![
            parameter("name", Kind::Text, true, Some(20)),
            parameter("count", Kind::Number, true, None),
            parameter("parcels", Kind::List, false, Some(2_000)),
            parameter("place", Kind::Object, false, Some(100)),
            parameter("urgent", Kind::Boolean, false, None),
        ],
        variants: vec![variant(title, body, html)],
    }
}

/// The one variant of a template that can be stored.
fn compiled(template: &Template) -> Compiled {
    super::check(template).unwrap_or_else(|error| panic!("{error}"));
    compile(&template.parameters, &template.variants[0]).expect("it was checked")
}

fn params(json: Json) -> Map<String, Json> {
    let Json::Object(params) = json else { panic!("{json} is no object") };
    params
}

/// Two that have to be there.
fn few() -> Json {
    json!({"name": "Zoë", "count": 3})
}

/// What becomes of a body.
fn check(body: &str, given: Json, expected: Result<&str, &str>) {
    let told: String = format!("{body:?} of {given}").chars().take(500).collect();
    let began = Instant::now();
    let rendered = compiled(&template("", body, None))
        .render(&params(given), true)
        .map(|rendered| rendered.body)
        .map_err(|error| error.to_string());
    assert_eq!(rendered, expected.map(str::to_owned).map_err(str::to_owned), "{told}");
    assert!(began.elapsed().as_secs() < 2, "{told}: {:?}", began.elapsed());
}

/// Why a template is refused.
fn check_refused(change: impl FnOnce(&mut Template), expected: &str) {
    let mut template = template("", "", None);
    change(&mut template);
    let began = Instant::now();
    let error = super::check(&template).expect_err(expected);
    assert_eq!(error.to_string(), expected);
    assert!(began.elapsed().as_secs() < 2, "{expected}: {:?}", began.elapsed());
}

fn check_body_refused(body: &str, expected: &str) {
    let expected = format!("variant en: {expected}");
    check_refused(|template| body.clone_into(&mut template.variants[0].body), &expected);
}

#[test]
fn parameters_are_put_in_their_places() {
    check("Hello {{ name }}, {{ count }} parcels", few(), Ok("Hello Zoë, 3 parcels"));
    check("{{ name|upper }} {{ count - 1 }} {{ name ~ count }}", few(), Ok("ZOË 2 Zoë3"));
    check("{% if count == 1 %}one{% else %}{{ count }}{% endif %}", few(), Ok("3"));
    check("{% if name in ['Zoë', 'Bo'] %}you{% endif %}", few(), Ok("you"));
    let many = json!({"name": "Zoë", "count": 3, "parcels": [{"id": 1}, {"id": 2}], "place": {"city": "Łódź"}, "urgent": true});
    check(
        "{% for parcel in parcels %}{{ loop.index }}:{{ parcel.id }} {% endfor %}{{ place.city }}",
        many.clone(),
        Ok("1:1 2:2 Łódź"),
    );
    check("{{ parcels|join(', ', attribute='id') }}{% if urgent %}!{% endif %}", many, Ok("1, 2!"));
    check("{% set who = name %}{% with n = count %}{{ who }}{{ n }}{% endwith %}", few(), Ok("Zoë3"));
    check("{# no #}{% raw %}{{ x * y + [z] }}{% endraw %} 2 * 3 + [4]", few(), Ok("{{ x * y + [z] }} 2 * 3 + [4]"));
    check("", few(), Ok(""));
}

#[test]
fn a_text_is_cut_off_at_a_character() {
    check("{{ name|truncate(3) }}", few(), Ok("Zoë"));
    check("{{ name|truncate(2) }}", few(), Ok("Z…"));
    check("{{ name|truncate(1) }}{{ name|truncate(0) }}", few(), Ok("…"));
    check("{{ name|truncate(18446744073709551615) }}", few(), Ok("Zoë"));
    check("{{ name|truncate(-1) }}", few(), Err("body, line 1: cannot convert number to usize"));
}

#[test]
fn what_is_missing_and_need_not_be_there_is_undefined() {
    check("{{ place|default('nowhere') }}", few(), Ok("nowhere"));
    check("{% if place is defined %}{{ place.city }}{% endif %}.", few(), Ok("."));
    check("{{ place|default('nowhere') }}", json!({"name": "Zoë", "count": 3, "place": null}), Ok("nowhere"));
    check("a\n{{ urgent }}", few(), Err("body, line 2: undefined value"));
    check("{% if urgent %}!{% endif %}", few(), Err("body, line 1: undefined value"));
    check("a\n\n{{ name.first }}", few(), Err("body, line 3: undefined value"));
    check("{% for parcel in parcels %}{% endfor %}", few(), Err("body, line 1: undefined value"));
}

#[test]
fn what_the_engine_calls_the_same_as_a_parameter_is_not_taken_for_it() {
    let mut template = template("", "{{ range|default('none') }} {{ dict|default('none') }}", None);
    template.parameters = ["range", "dict"].map(|name| parameter(name, Kind::List, false, None)).to_vec();
    let rendered = compiled(&template).render(&Map::new(), true).expect("it can be rendered");
    assert_eq!(rendered.body, "none none");
}

#[test]
fn everything_that_is_wrong_with_parameters_is_told_at_once() {
    check("", json!({}), Err("name is missing; count is missing"));
    check("", json!({"name": null, "count": "3"}), Err("name is missing; count is a text, not a number"));
    check(
        "",
        json!({"name": ["a"], "count": true, "urgent": 1}),
        Err("name is a list, not a text; count is a boolean, not a number; urgent is a number, not a boolean"),
    );
    check("", json!({"name": "ë".repeat(20), "count": 0}), Ok(""));
    check("", json!({"name": "ë".repeat(21), "count": 0}), Err("name is 21 characters, the limit is 20"));
    let deep = json!({"name": "", "count": 0, "place": {"street": "s".repeat(100)}});
    check("", deep, Err("place is 113 characters, the limit is 100"));
    check(
        "",
        json!({"name": "", "count": 0, "Name": 1, "\u{1b}[2J": 2}),
        Err("[2J is no parameter of the template; Name is no parameter of the template"),
    );
    let huge = json!({"name": "", "count": 0, "x": "x".repeat(PARAMS_BYTES_MAX)});
    check(
        "",
        huge,
        Err("x is no parameter of the template; the parameters are 16412 bytes of JSON, the limit is 16384"),
    );
    let unknown: Map<String, Json> = (0..1_000).map(|number| (number.to_string(), Json::Null)).collect();
    let told = check_params(&template("", "", None).parameters, &unknown).expect_err("none is known");
    assert_eq!(told.0.len(), 2 + TEMPLATE_PARAMETERS_MAX);
}

#[test]
fn a_title_is_one_line() {
    let check = |title: &str, name: &str, expected: &str| {
        let given = params(json!({"name": name, "count": 0}));
        let rendered = compiled(&template(title, "", None)).render(&given, true).expect("it can be rendered");
        assert_eq!(rendered.title, expected, "{title:?} of {name:?}");
    };
    check("To {{ name }}", "Zoë", "To Zoë");
    check("To {{ name }}", "a\r\nBcc: b", "To a Bcc: b");
    check("a\n\nb {{ name }}\n", "\u{2028}c\u{85}\u{0}d", "a b  c d");
    check("{{ name }}", "\n", "");
}

#[test]
fn html_is_escaped_and_text_is_not() {
    let check = |html: &str, name: &str, expected: &str| {
        let compiled = compiled(&template("{{ name }}", "{{ name }}", Some(html)));
        let given = params(json!({"name": name, "count": 0}));
        let rendered = compiled.render(&given, true).expect("it can be rendered");
        assert_eq!(rendered.html.as_deref(), Some(expected), "{html:?} of {name:?}");
        assert_eq!(compiled.render(&given, false).map(|rendered| rendered.html), Ok(None), "it is for mail alone");
        assert_eq!((rendered.title.as_str(), rendered.body.as_str()), (name, name));
    };
    check("<b>{{ name }}</b>", "<script>&\"'", "<b>&lt;script&gt;&amp;&quot;&#x27;</b>");
    check("{{ name ~ '<' }}{{ name|upper }}", "<b>", "&lt;b&gt;&lt;&lt;B&gt;");
    check("{{ name|safe }}", "<b>", "<b>");
    let without = compiled(&template("", "", None)).render(&params(few()), true);
    assert_eq!(without.map(|rendered| rendered.html), Ok(None));
}

/// Each of these takes for ever, or all memory, without a bound.
#[test]
fn what_would_not_end_ends_with_an_error() {
    let list = json!({"name": "Zoë", "count": 3, "parcels": vec![1; 900]});
    let fuel = "body, line 1: it takes more than 5000 steps";
    let loops =
        "{% for a in parcels %}{% for b in parcels %}{% for c in parcels %}{% endfor %}{% endfor %}{% endfor %}";
    check(loops, list.clone(), Err(fuel));
    check(
        &format!("a\n{}", "{% for a in parcels %}x{% endfor %}".repeat(20)),
        list.clone(),
        Err("body, line 2: it takes more than 5000 steps"),
    );
    check(
        "{% for a in parcels recursive %}{{ loop(parcels) }}{% endfor %}",
        list.clone(),
        Err("body, line 1: recursion limit exceeded"),
    );
    let doubled = format!("{{% set a = 'aaaaaaaa' %}}{}{{{{ a }}}}", "{% set a = a ~ a %}".repeat(60));
    check(&doubled, few(), Err(fuel));
    let captured =
        format!("{{% set a = 'aaaaaaaa' %}}{}{{{{ a }}}}", "{% set a %}{{ a }}{{ a }}{% endset %}".repeat(60));
    check(&captured, few(), Err(fuel));
    check(
        &format!("{{% for a in parcels %}}{}{{% endfor %}}", "x".repeat(75)),
        list.clone(),
        Err("it is 67500 bytes when rendered, the limit is 65536"),
    );
    check(&format!("{{% for a in parcels %}}{}{{% endfor %}}", "x".repeat(60_000)), list.clone(), Err(fuel));
    check("{{ parcels|join('x' ~ parcels) }}", list.clone(), Err(fuel));
    // Equal, and not one: as slow as can be.
    let deep = json!([vec![0; 4_000]]);
    let two = json!({"name": "", "count": 0, "parcels": deep, "place": {"parcels": deep}});
    let mut template = template("", &format!("{{{{ {} }}}}", ["parcels == place.parcels"; 2_200].join(" and ")), None);
    template.parameters.iter_mut().for_each(|parameter| parameter.max_chars = None);
    let body = compiled(&template).render(&params(two), true).map(|rendered| rendered.body);
    assert_eq!(body.map_err(|error| error.to_string()), Err(fuel.to_owned()));
    let shown = format!("{{{{ ({})|length }}}}", ["parcels"; 300].join(" ~ "));
    check(&shown, list, Err(fuel));
}

#[test]
fn numbers_that_have_no_answer_are_an_error() {
    check("{{ count / 0 }}", few(), Err("body, line 1: unable to calculate 3 / 0"));
    check("{{ count // 0 }}{{ count % 0 }}", few(), Err("body, line 1: unable to calculate 3 // 0"));
    check("{{ count % 0 }}", few(), Err("body, line 1: unable to calculate 3 % 0"));
    check("{{ count ** 9999 }}", few(), Err("body, line 1: unable to calculate 3 ** 9999"));
    check("{{ count|round(2147483647) }} {{ (count / 7)|round(2147483647) }}", few(), Ok("3 0.42857142857142855"));
    check("{{ (0 - count)|round(-2147483648) }}", few(), Ok("0"));
    check("{{ (-170141183460469231731687303715884105728)|abs }}", few(), Err("body, line 1: overflow on abs"));
    check("{{ name|int }}", few(), Err("body, line 1: invalid float literal"));
    check("{{ name - 1 }}", few(), Err("body, line 1: tried to use - operator on unsupported types string and number"));
    check("{{ name[-9223372036854775808] }}", few(), Err("body, line 1: undefined value"));
    check("{{ -count }} {{ 1e999 }}", few(), Ok("-3 inf"));
}

#[test]
fn what_would_make_lists_is_no_part_of_a_template() {
    check_body_refused(
        "{{ [1] * 99999999 }}",
        "body, line 1: lists that are made of others are not available in templates",
    );
    check_body_refused("{{ parcels * 99999999 }}", "body, line 1: * is not available in templates");
    check_body_refused("\n{{ name * 9 }}", "body, line 2: * is not available in templates");
    check_body_refused(
        "{{ parcels + parcels }}",
        "body, line 1: + is not available in templates; texts are joined by ~",
    );
    let no_lists = "body, line 1: lists and objects of what is not constant are not available in templates";
    check_body_refused("{% for a in [parcels, parcels] %}{% endfor %}", no_lists);
    check_body_refused("{% for a in (parcels, parcels) %}{% endfor %}", no_lists);
    check_body_refused("{{ {'a': parcels} }}", no_lists);
    check_body_refused("{% for a in [[parcels], 1] %}{% endfor %}", no_lists);
    let filters = "there are abs, capitalize, count, d, default, e, escape, first, float, int, join, last, length, lower, \
                   round, safe, title, truncate, upper";
    for filter in
        ["replace('a', name)", "chain(parcels)", "zip(parcels)", "indent(9)", "trim(name)", "pprint", "nonsense"]
    {
        let name = filter.split('(').next().expect("a name");
        check_body_refused(
            &format!("{{{{ name|{filter} }}}}"),
            &format!("body, line 1: there is no filter {name}; {filters}"),
        );
    }
    check_body_refused("{{ range(9) }}", "body, line 1: there is no function range");
    check_body_refused("{{ namespace() }}", "body, line 1: there is no function namespace");
    check_body_refused("{{ debug() }}", "body, line 1: there is no function debug");
    check_body_refused(
        "{{ parcels|map('replace', 'a', name) }}",
        &format!("body, line 1: there is no filter map; {filters}"),
    );
    check_body_refused(
        "{% if name is nonsense %}{% endif %}",
        "body, line 1: there is no test nonsense; there are boolean, defined, divisibleby, even, false, in, mapping, none, number, \
         odd, sequence, string, true, undefined",
    );
    check_body_refused(
        "{{ name[::-9223372036854775808] }}",
        "body, line 1: slices are not available in templates; texts are cut off by truncate",
    );
}

#[test]
fn a_template_that_cannot_be_read_says_where() {
    check_body_refused("a\nb {{ name", "body, line 2: unexpected end of input, expected end of variable block");
    check_body_refused("{% if name %}", "body, line 1: unexpected end of input, expected end of block");
    check_body_refused("{% include 'x' %}", "body, line 1: unknown statement include");
    check_body_refused("{% macro x() %}{% endmacro %}", "body, line 1: unknown statement macro");
    check_body_refused(
        "\n\n{{ nam }} {{ conut }} {{ name }}",
        "body, line 3: it uses conut, nam, no parameter of the template",
    );
    check_refused(
        |template| "{{".clone_into(&mut template.variants[0].title),
        "variant en: title, line 1: unexpected end of input, expected expression",
    );
    check_refused(
        |template| template.variants[0].html = Some("{{ x }}".to_owned()),
        "variant en: html, line 1: it uses x, no parameter of the template",
    );
    let deep = format!("{{{{ {}1{} }}}}", "(".repeat(30_000), ")".repeat(30_000));
    check_body_refused(&deep, "body, line 1: template exceeds maximum recursion limits");
    let deep = format!("{}{}", "{% if name %}".repeat(2_000), "{% endif %}".repeat(2_000));
    check_body_refused(&deep, "body, line 1: template exceeds maximum recursion limits");
}

#[test]
fn what_else_is_wrong_with_a_template_is_told() {
    let long = "x".repeat(TEMPLATE_VARIANT_BYTES_MAX as usize);
    check_refused(
        |template| (template.variants[0].title, template.variants[0].html) = ("y".to_owned(), Some(long)),
        "variant en: its title, body and html are 65537 bytes together, the limit is 65536",
    );
    let large = "x".repeat(TEMPLATE_BYTES_MAX as usize / 32 + 1);
    let of = |number: usize| Variant { locale: format!("x{number}"), ..variant("", &large, None) };
    check_refused(
        |template| template.variants = (0..32).map(of).collect(),
        "the variants are 1048608 bytes together, the limit is 1048576",
    );
    check_refused(|template| template.variants = (0..65).map(of).collect(), "there are 65 variants, the limit is 64");
    for locale in ["", "pt_BR", "pt BR", &"x-".repeat(20)] {
        let expected = format!("locale {locale:?} is none: write it as pt or pt-BR");
        check_refused(|template| locale.clone_into(&mut template.variants[0].locale), &expected);
        check_refused(|template| locale.clone_into(&mut template.default_locale), &expected);
    }
    let add = |template: &mut Template, locale: &str, medium| {
        template.variants.push(Variant { locale: locale.to_owned(), medium, ..variant("", "{{", None) });
    };
    check_refused(|template| add(template, "EN", None), "there are two variants EN");
    check_refused(
        |template| ["pt", "pt"].iter().for_each(|locale| add(template, locale, Some(Medium::Sms))),
        "there are two variants pt for sms",
    );
    check_refused(
        |template| add(template, "en", Some(Medium::Mail)),
        "variant en for mail: body, line 1: unexpected end of input, expected expression",
    );
    let no_default = "no variant en is for all media, and it is the default: who has another language is told it";
    check_refused(|template| template.variants.clear(), no_default);
    check_refused(|template| template.variants[0].medium = Some(Medium::Apns), no_default);
    check_refused(|template| "de".clone_into(&mut template.variants[0].locale), no_default);
    for name in ["", "1st", "a-b", "loop", "not", "näme", "a\u{0}b"] {
        let expected = format!(
            "parameter {:?} is no name: write 1 to 64 letters, digits and _, no digit first, no word of Jinja",
            shown(name)
        );
        check_refused(|template| template.parameters[0].name = name.to_owned(), &expected);
    }
    check_refused(|template| template.parameters[1].name = "name".to_owned(), "parameter name is there twice");
    let many = (0..65).map(|number| parameter(&format!("p{number}"), Kind::Text, false, None)).collect();
    check_refused(|template| template.parameters = many, "there are 65 parameters, the limit is 64");
}

#[test]
fn a_language_falls_back_to_its_root_and_then_to_the_default() {
    let picked = |there: &[(&str, Option<Medium>)], locale: &str, medium| {
        let of = |&(locale, medium): &(&str, _)| Variant { locale: locale.to_owned(), medium, ..variant("", "", None) };
        let template = Template { variants: there.iter().map(of).collect(), ..template("", "", None) };
        pick(&template, locale, medium)
    };
    let check = |there: &[(&str, Option<Medium>)], locale: &str, expected: Option<usize>| {
        assert_eq!(picked(there, locale, Some(Medium::Sms)), expected, "{locale:?} among {there:?}");
    };
    let all = [("en", None), ("pt", None), ("pt-BR", None), ("zh-Hant", None)];
    check(&all, "pt-BR", Some(2));
    check(&all, "pt-br", Some(2));
    check(&all, "pt_BR", Some(2));
    check(&all, "pt_BR.UTF-8", Some(2));
    check(&all, "pt-PT", Some(1));
    check(&all, "pt", Some(1));
    check(&all, "zh-Hant-TW", Some(3));
    check(&all, "zh-TW", Some(0));
    check(&all, "de", Some(0));
    check(&all, "", Some(0));
    check(&all, "-", Some(0));
    check(&all, "ptx", Some(0));
    check(&all, &"pt-".repeat(100_000), Some(0));
    check(&all[1..], "de", None);
    check(&[], "en", None);
    let media =
        [("en", None), ("en", Some(Medium::Sms)), ("en", Some(Medium::Mail)), ("pt", Some(Medium::Mail)), ("fr", None)];
    check(&media, "en-GB", Some(1));
    check(&media, "pt", Some(1));
    check(&media, "fr-CA", Some(4));
    check(&media[2..3], "en", None);
    assert_eq!(picked(&media, "en", None), Some(0), "without a medium it is one for all");
    assert_eq!(picked(&media, "pt", None), Some(0));
}

#[test]
fn a_template_is_read_from_json_and_what_it_does_not_know_is_refused() {
    let text = json!({
        "default_locale": "en",
        "parameters": [{"name": "n", "kind": "list", "required": true, "max_chars": 3}],
        "variants": [{"locale": "en", "medium": "mail", "title": "t", "body": "b"}],
    });
    let read: Template = serde_json::from_value(text.clone()).expect("a template");
    let parameter = parameter("n", Kind::List, true, Some(3));
    assert_eq!((read.variants[0].medium, &read.parameters[0]), (Some(Medium::Mail), &parameter));
    for (place, value) in [
        ("/variants/0/medium", json!("pigeon")),
        ("/parameters/0/kind", json!("date")),
        ("/variants/0", json!({"locale": "en", "title": "t", "body": "b", "tilte": ""})),
        ("", json!({"default_locale": "en", "variants": [], "name": "x"})),
    ] {
        let mut wrong = text.clone();
        *wrong.pointer_mut(place).expect("it is there") = value;
        assert!(serde_json::from_value::<Template>(wrong).is_err(), "{place}");
    }
}
