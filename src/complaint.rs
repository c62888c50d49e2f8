//! What is wrong with the arguments, in one line that names the variable and what it takes.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command};

/// One line: the variable and the option, and what they take.
pub(crate) fn complaint(error: &clap::Error, command: &Command) -> String {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        Some(ContextValue::Strings(texts)) => texts.first().cloned(),
        _ => None,
    };
    if let Some(verb) = text(ContextKind::InvalidSubcommand) {
        return format!("error: there is no {verb}: it takes {}", verbs_of(error, command).join(", "));
    }
    let option = text(ContextKind::InvalidArg).filter(|_| error.kind() != ErrorKind::UnknownArgument);
    let Some(option) = option else {
        let rendered = error.render().to_string();
        return rendered.lines().next().unwrap_or_default().to_owned();
    };
    let shown = option.split_whitespace().next().unwrap_or_default();
    // Options by their names, what has none as the help shows it.
    let known = find(command, &|arg| match shown.strip_prefix("--") {
        Some(long) => arg.get_long() == Some(long),
        None => arg.is_positional() && option.trim_end_matches("...") == arg.to_string().trim_end_matches("..."),
    });
    let variable = known.and_then(|arg| arg.get_env()).and_then(|name| name.to_str()).map(str::to_owned);
    let name = variable.map_or_else(|| shown.to_owned(), |variable| format!("{variable} ({shown})"));
    let values = match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(values)) if !values.is_empty() => Some(format!("takes {}", values.join(", "))),
        _ => None,
    };
    let takes = std::error::Error::source(error)
        .map(ToString::to_string)
        .or(values)
        .or_else(|| known.and_then(|arg| arg.get_help()).map(|help| format!("takes {help}")));
    let takes = takes.unwrap_or_else(|| "has a bad value".to_owned());
    match error.kind() {
        ErrorKind::MissingRequiredArgument => {
            format!("error: {name} is required: {}", takes.trim_start_matches("takes "))
        }
        // No two options exclude each other: one conflicts with itself alone.
        ErrorKind::ArgumentConflict => format!("error: {name} is given more than once"),
        _ => format!("error: {name} {takes}"),
    }
}

/// What can be said where there was something else. How far the words were understood, clap tells in the usage alone.
fn verbs_of<'a>(error: &clap::Error, command: &'a Command) -> Vec<&'a str> {
    let usage = error.get(ContextKind::Usage).map(ToString::to_string).unwrap_or_default();
    let mut at = command;
    for word in usage.split_whitespace() {
        at = at.find_subcommand(word).unwrap_or(at);
    }
    at.get_subcommands().filter(|verb| !verb.is_hide_set()).map(Command::get_name).collect()
}

/// The first argument like this one, of the program or of what it can do.
fn find<'a>(command: &'a Command, is_meant: &dyn Fn(&Arg) -> bool) -> Option<&'a Arg> {
    let own = command.get_arguments().find(|arg| is_meant(arg));
    own.or_else(|| command.get_subcommands().find_map(|verb| find(verb, is_meant)))
}
