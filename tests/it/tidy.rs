//! The house style, as far as a machine can see it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::lua::source::{self, Source};

const MOST_LINES: usize = 500;

#[test]
fn every_script_says_what_it_is_for_takes_and_returns() {
    for script in source::scripts() {
        let first = script.text.lines().next().unwrap();
        let purpose = first.strip_prefix(&format!("-- {}: ", script.op));
        assert!(purpose.is_some_and(|purpose| !purpose.is_empty()), "{}: {first:?}", script.op);
        let header = script.header();
        let part = |name: &str| header.iter().any(|line| line.starts_with(&format!(" {name}: ")));
        assert!(part("KEYS") && part("Returns"), "{} does not say its KEYS or what it returns", script.op);
        let code = script.code();
        let takes = code.contains("ARGV") || code.contains("each(");
        assert_eq!(part("ARGV"), takes, "{}: ARGV said and used", script.op);
    }
}

#[test]
fn a_script_that_takes_many_calls_says_how_many_arguments_each_has() {
    for script in source::scripts().into_iter().filter(|script| source::openings(&script.op).contains(&"each")) {
        let code = script.code();
        let (_, call) = code.split_once("each(").unwrap();
        let (numbers, rest) = call.split_once(", function(").unwrap();
        let [shared, own] = numbers.split(", ").map(|number| number.parse().unwrap()).collect::<Vec<usize>>()[..]
        else {
            panic!("{}: each({numbers}", script.op);
        };
        let parameters = rest.split(')').next().unwrap().split(", ").count();
        assert_eq!(own, parameters, "{}: arguments of a call", script.op);
        let header = script.header().concat();
        assert!(header.contains("many calls") && header.contains("of each call: "), "{}", script.op);
        assert_eq!(shared > 0, code.contains(&format!("ARGV[{shared}]")), "{}: shared arguments", script.op);
    }
}

#[test]
fn every_argument_is_explained_by_its_number() {
    for script in source::scripts() {
        let header = script.header().join("\n");
        let said = header.split("ARGV:").nth(1).map_or("", |rest| rest.split("Returns:").next().unwrap());
        for number in script.code().split("ARGV[").skip(1).map(|rest| rest.split(']').next().unwrap()) {
            // `ARGV[i]` goes over what the header calls `2...`.
            let explained = number == "i" || said.contains(&format!(" {number} "));
            assert!(explained, "{} does not explain ARGV[{number}]", script.op);
        }
    }
}

#[test]
fn a_script_returns_the_words_that_its_header_promises() {
    for script in source::scripts() {
        assert_eq!(returned_words(&script), script.promised_words(), "{}: returned, and promised", script.op);
    }
}

/// Every word that begins a table that is returned: as a literal, or by a variable `word` or `reply`.
fn returned_words(script: &Source) -> BTreeSet<String> {
    let code = script.code();
    let mut words = BTreeSet::new();
    for table in code.split("return {").chain(code.split("local reply = {")).skip(1) {
        let first = table.split([',', '}']).next().unwrap().trim();
        if let Some(word) = quoted(first) {
            words.insert(word);
        }
    }
    for line in code.lines().filter(|line| line.contains("return { word")) {
        let compared = |how: &str| line.split_once(how).and_then(|(_, rest)| quoted(rest.split(" then").next()?));
        if let Some(word) = compared("word == ") {
            words.insert(word);
            continue;
        }
        let but = compared("word ~= ");
        words.extend(words_of_variable(&code).into_iter().filter(|word| Some(word) != but.as_ref()));
    }
    words
}

/// What `word` can be: the choice it is given, or any standing, of a token without a record too.
fn words_of_variable(code: &str) -> BTreeSet<String> {
    let choice = code.lines().find(|line| line.trim_start().starts_with("local word = "));
    if let Some(choice) = choice {
        return capitals(choice.split_once(" and ").unwrap().1);
    }
    assert!(code.contains("= standing("), "where does word come from?");
    let token = source::named("queue.token").code();
    let standing = token.split_once("function unrecorded(").unwrap().1;
    standing.lines().filter(|line| line.contains("return '") || line.contains(" or '")).flat_map(capitals).collect()
}

/// Quoted words of two capitals or more.
fn capitals(line: &str) -> BTreeSet<String> {
    let quoted = line.split('\'').skip(1).step_by(2);
    quoted.filter(|word| word.len() > 1 && is_word(word)).map(str::to_owned).collect()
}

fn quoted(text: &str) -> Option<String> {
    let word = text.trim().strip_prefix('\'')?.strip_suffix('\'')?;
    is_word(word).then(|| word.to_owned())
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|letter| letter.is_ascii_uppercase() || letter == '_')
}

#[test]
fn scripts_touch_only_the_keys_they_are_given() {
    for script in source::all() {
        let mut keys = source::lists_keys(&script.op).listed_keys();
        if source::openings(&script.op).contains(&"queue.token") {
            keys.extend(source::lists_keys("queue.").listed_keys());
        }
        if script.op == "queue.complete" {
            keys.extend(["map", "holds", "by_user"].map(String::from));
        }
        let code = script.code();
        for call in code.split("redis.call(").skip(1).chain(code.split("redis.pcall(").skip(1)) {
            let (command, rest) = command(call).unwrap_or_else(|| panic!("{}: {call}", script.op));
            assert!(!["KEYS", "SCAN", "EVAL", "FLUSHALL", "FLUSHDB"].contains(&command), "{}: {command}", script.op);
            assert!(rest.is_none_or(|key| is_given(key, &keys)), "{}: {command} {rest:?}", script.op);
        }
    }
}

/// The command and the first thing it is given, if it is given any.
fn command(call: &str) -> Option<(&str, Option<&str>)> {
    let (command, rest) = call.strip_prefix('\'')?.split_once('\'')?;
    let key = rest.strip_prefix(',').map(|rest| rest.split([',', '\n']).next().unwrap().trim());
    // The call may end after its key, or within another one.
    let key = key.map(|key| if key == "unpack(KEYS))" { "unpack(KEYS)" } else { key.split(')').next().unwrap_or(key) });
    Some((command, key.map(|key| if key.starts_with("unpack(KEYS") { "unpack(KEYS)" } else { key })))
}

/// A key by its name, all of them, or one of two by a condition.
fn is_given(key: &str, keys: &[String]) -> bool {
    let known = |name: &str| keys.iter().any(|key| key == name);
    let chosen = key.split_once(" and ").map_or(key, |(_, choice)| choice);
    key == "unpack(KEYS)" || chosen.split(" or ").all(known)
}

#[test]
fn the_keys_are_named_in_one_order_everywhere() {
    let rust = fs::read_to_string(source::repository("src/redis/keys.rs")).unwrap();
    let lists: Vec<Vec<String>> = rust.split("let parts = [").skip(1).map(strings).collect();
    // A schedule's come first, and its queue's are the last.
    let openings = [("queue.token", "unpack(KEYS, #KEYS - 8)"), ("seat.map", "unpack(KEYS)")];
    for ((opening, unpacked), listed) in openings.into_iter().zip(&lists) {
        let opening = source::named(opening);
        assert_eq!(&opening.listed_keys(), listed, "{} and src/redis/keys.rs", opening.op);
        let numbers: Vec<usize> =
            opening.header().iter().filter_map(|line| line.split_whitespace().next()?.parse().ok()).collect();
        assert_eq!(numbers, (1..=listed.len()).collect::<Vec<_>>(), "{}", opening.op);
        let taken = format!("local {} = {unpacked}\n", listed.join(", "));
        assert!(opening.code().contains(&taken), "{} takes them in another order", opening.op);
    }
    assert_eq!(lists.len(), 2);
}

fn strings(list: &str) -> Vec<String> {
    list.split(']').next().unwrap().split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn the_program_joins_the_scripts_as_the_tests_do() {
    for script in source::scripts() {
        let (room, name) = script.op.split_once('.').unwrap();
        let store = ["store", "audit"].map(|file| source::repository(&format!("src/{room}/{file}.rs")));
        let store: String = store.into_iter().filter_map(|file| fs::read_to_string(file).ok()).collect();
        let openings =
            source::openings(&script.op).iter().map(|opening| opening.rsplit('.').next().unwrap().to_uppercase());
        let file = format!("include_str!(\"../../lua/{room}/{name}.lua\")");
        let parts: Vec<String> = openings.chain([file]).collect();
        let joined = format!("Script::new(\"{}\", &[{}])", script.op, parts.join(", "));
        assert!(without_spaces(&store).contains(&without_spaces(&joined)), "src/{room} has no {joined}");
    }
}

fn without_spaces(text: &str) -> String {
    text.split_whitespace().collect::<String>().replace(",]", "]").replace(",)", ")")
}

#[test]
fn nothing_in_the_program_panics_on_purpose() {
    for (path, code) in rust() {
        let code = code.split("#[cfg(test)]").next().unwrap();
        for (line, number) in code.lines().zip(1..) {
            let comment = line.trim_start().starts_with("//");
            assert!(
                comment || ![".unwrap()", ".expect("].iter().any(|bad| line.contains(bad)),
                "{path}:{number}: {line}"
            );
        }
    }
}

#[test]
fn no_file_of_the_program_is_long() {
    for (path, code) in rust() {
        let lines = code.lines().count();
        assert!(lines <= MOST_LINES, "{path} has {lines} lines");
    }
}

/// The program's files, by path within the repository.
fn rust() -> Vec<(String, String)> {
    let files =
        source::files("src").into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    let relative = |path: &Path| path.strip_prefix(source::repository("")).unwrap().display().to_string();
    let read: Vec<_> = files.map(|path| (relative(&path), fs::read_to_string(&path).unwrap())).collect();
    assert!(read.len() > 20, "the program was not found");
    read
}

#[test]
fn migrations_are_numbered_without_a_gap() {
    let names: Vec<String> =
        source::files("migrations").iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    for (name, number) in names.iter().zip(1..) {
        let word = name.strip_prefix(&format!("{number:04}_")).and_then(|rest| rest.strip_suffix(".sql"));
        let plain =
            |word: &str| !word.is_empty() && word.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_');
        assert!(word.is_some_and(plain), "{name} is not {number:04}_word.sql");
    }
    assert!(!names.is_empty());
}
