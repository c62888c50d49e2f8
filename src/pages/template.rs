//! Templates: `{{name}}` is a value, `{{t:name}}` words of the page's language. Words are escaped here, values are HTML.

use std::fmt::Write;

use super::language::Language;

/// A template with everything filled in. What nobody fills in is left out.
pub(super) fn filled(template: &str, language: Language, values: &[(&str, &str)]) -> String {
    let mut page = String::with_capacity(template.len() * 2);
    let mut rest = template;
    while let Some((before, opened)) = rest.split_once("{{") {
        let (name, after) = opened.split_once("}}").unwrap_or((opened, ""));
        page.push_str(before);
        match name.strip_prefix("t:") {
            Some(words) => page.push_str(&escaped(&language.words(words, None))),
            None => page.push_str(values.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value)),
        }
        rest = after;
    }
    page.push_str(rest);
    page
}

/// A text as it stands in HTML, in attributes too.
pub(super) fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' | '<' | '>' | '"' | '\'' => {
                // Writing to a string does not fail.
                let _ = write!(html, "&#{};", u32::from(letter));
            }
            _ => html.push(letter),
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_filled_in_once() {
        let values = [("a", "{{b}}"), ("b", "no")];
        assert_eq!(filled("<{{a}}|{{c}}|{{b}}>", Language::English, &values), "<{{b}}||no>");
        assert_eq!(filled("x {{a", Language::English, &values), "x {{b}}");
    }

    #[test]
    fn a_text_is_no_markup() {
        assert_eq!(escaped("<b a='x' c=\"&\">"), "&#60;b a=&#39;x&#39; c=&#34;&#38;&#34;&#62;");
    }
}
