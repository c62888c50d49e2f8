//! A burst as a picture: who waited, who was let in and what was sold over time. Plain SVG text that any browser shows, in the
//! colours of a light or a dark page, with nothing in it that runs or is loaded.

use std::fmt::Write;

use super::figures::Moment;

const WIDTH: u64 = 860;
const HEIGHT: u64 = 420;
const LEFT: u64 = 70;
const RIGHT: u64 = 20;
const TOP: u64 = 64;
const BOTTOM: u64 = 52;

/// More points than this cannot be told apart.
const MOST_POINTS: usize = 400;

/// A curve's name, which is its class too, and what it shows.
type Curve = (&'static str, fn(&Moment) -> u64);

const CURVES: [Curve; 3] =
    [("waiting", |moment| moment.waiting), ("admitted", |moment| moment.admitted), ("sold", |moment| moment.sold)];

const STYLE: &str = "
  svg { background: #fff; color: #222; font: 13px system-ui, sans-serif; }
  text { fill: currentColor; }
  .title { font-size: 16px; font-weight: 600; }
  .grid { stroke: currentColor; opacity: 0.15; }
  .axis { stroke: currentColor; }
  .curve { fill: none; stroke-width: 2.5; stroke-linejoin: round; }
  .waiting { stroke: #0072b2; }
  .admitted { stroke: #b25d00; stroke-dasharray: 8 4; }
  .sold { stroke: #00785a; stroke-dasharray: 2 3; }
  @media (prefers-color-scheme: dark) {
    svg { background: #161616; color: #ddd; }
    .waiting { stroke: #56b4e9; }
    .admitted { stroke: #e69f00; }
    .sold { stroke: #2fc49a; }
  }
";

/// Draws it.
pub(super) fn draw(title: &str, timeline: &[Moment]) -> String {
    let thinned = timeline.len().div_ceil(MOST_POINTS).max(1);
    let last = timeline.len().saturating_sub(1);
    let shown = timeline.iter().enumerate().filter(|(index, _)| index % thinned == 0 || *index == last);
    let moments: Vec<Moment> = shown.map(|(_, moment)| *moment).collect();
    let seconds = step_up(moments.iter().map(|moment| moment.ms.div_ceil(1000)).max().unwrap_or(0));
    let people = step_up(moments.iter().map(|moment| moment.waiting.max(moment.admitted)).max().unwrap_or(0));

    let title = escape(title);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" \
         role=\"img\" aria-label=\"{title}\">\n<title>{title}</title>\n<style>{STYLE}</style>\n\
         <text class=\"title\" x=\"{LEFT}\" y=\"24\">{title}</text>\n"
    );
    axes(&mut svg, seconds, people);
    for (number, (name, of)) in CURVES.into_iter().enumerate() {
        let mut points = String::new();
        for moment in &moments {
            // Writing to a text cannot fail.
            _ = write!(points, "{},{} ", x(moment.ms, seconds * 1000), y(of(moment), people));
        }
        let at = LEFT + 120 * number as u64;
        let points = points.trim_end();
        _ = write!(
            svg,
            "<polyline class=\"curve {name}\" points=\"{points}\"/>\n\
             <line class=\"curve {name}\" x1=\"{at}\" y1=\"44\" x2=\"{}\" y2=\"44\"/>\n\
             <text x=\"{}\" y=\"48\">{name}</text>\n",
            at + 32,
            at + 38,
        );
    }
    svg.push_str("</svg>\n");
    svg
}

/// Four lines each way with their numbers, and what they count.
fn axes(svg: &mut String, seconds: u64, people: u64) {
    let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
    for quarter in 0..=4 {
        let (time, count) = (seconds * quarter / 4, people * quarter / 4);
        let (across, up) = (x(time, seconds), y(count, people));
        _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{across}\" y1=\"{TOP}\" x2=\"{across}\" y2=\"{bottom}\"/>\n\
             <line class=\"grid\" x1=\"{LEFT}\" y1=\"{up}\" x2=\"{right}\" y2=\"{up}\"/>\n\
             <text x=\"{across}\" y=\"{}\" text-anchor=\"middle\">{time}</text>\n\
             <text x=\"{}\" y=\"{}\" text-anchor=\"end\">{count}</text>\n",
            bottom + 18,
            LEFT - 8,
            up + 4,
        );
    }
    let (middle, foot, height) = (u64::midpoint(LEFT, right), HEIGHT - 12, u64::midpoint(TOP, bottom));
    _ = write!(
        svg,
        "<polyline class=\"axis curve\" points=\"{LEFT},{TOP} {LEFT},{bottom} {right},{bottom}\"/>\n\
         <text x=\"{middle}\" y=\"{foot}\" text-anchor=\"middle\">seconds</text>\n\
         <text x=\"16\" y=\"{height}\" text-anchor=\"middle\" transform=\"rotate(-90 16 {height})\">people</text>\n"
    );
}

fn x(value: u64, most: u64) -> u64 {
    LEFT + (WIDTH - LEFT - RIGHT) * value.min(most) / most.max(1)
}

fn y(value: u64, most: u64) -> u64 {
    HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value.min(most) / most.max(1)
}

/// The next number that quarters evenly and reads well: 4, 8, 12, 20, 40, 80 and so on.
fn step_up(most: u64) -> u64 {
    let mut decade = 4_u64;
    loop {
        let step = [1, 2, 3, 5].into_iter().map(|times| decade.saturating_mul(times)).find(|step| *step >= most);
        if let Some(step) = step {
            return step;
        }
        decade = decade.saturating_mul(10);
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(count: u64) -> Vec<Moment> {
        let at = |step| Moment { ms: step * 200, waiting: (count - step) * 3, admitted: step * 2, sold: step };
        (0..count).map(at).collect()
    }

    /// That every tag is closed in its order, attributes are quoted and nothing but the five entities is escaped.
    #[track_caller]
    fn assert_well_formed(svg: &str) {
        let mut open: Vec<&str> = Vec::new();
        let mut rest = svg;
        while let Some((text, tag)) = rest.split_once('<') {
            assert!(!text.contains('>') || open.last() == Some(&"style"), "{text}");
            let (tag, after) = tag.split_once('>').unwrap();
            rest = after;
            assert!(tag.matches('"').count().is_multiple_of(2), "{tag}");
            if let Some(name) = tag.strip_prefix('/') {
                assert_eq!(open.pop(), Some(name));
            } else if !tag.ends_with('/') {
                open.push(tag.split_whitespace().next().unwrap());
            }
        }
        assert_eq!((open.len(), rest.trim()), (0, ""));
        for (at, _) in svg.match_indices('&') {
            assert!(["&amp;", "&lt;", "&gt;", "&quot;"].iter().any(|known| svg[at..].starts_with(known)));
        }
    }

    #[test]
    fn it_is_well_formed_and_loads_and_runs_nothing() {
        for timeline in [moments(0), moments(1), moments(3000)] {
            let svg = draw("5 < 6 & \"so on\"", &timeline);
            assert_well_formed(&svg);
            for bad in ["<script", "href", "url(", "@import", "onload"] {
                assert!(!svg.contains(bad), "{bad}");
            }
            assert_eq!(svg.matches("http").count(), 1, "but for the name of SVG itself");
            for word in ["seconds", "people", "waiting", "admitted", "sold", "prefers-color-scheme: dark"] {
                assert!(svg.contains(word), "{word}");
            }
        }
    }

    #[test]
    fn curves_lie_where_they_should_and_are_thinned() {
        let timeline = [
            Moment { ms: 0, waiting: 80, admitted: 0, sold: 0 },
            Moment { ms: 8000, waiting: 0, admitted: 40, sold: 20 },
        ];
        let svg = draw("two moments", &timeline);
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        let half = u64::midpoint(TOP, bottom);
        assert!(svg.contains(&format!("class=\"curve waiting\" points=\"{LEFT},{TOP} {right},{bottom}\"")), "{svg}");
        assert!(svg.contains(&format!("class=\"curve admitted\" points=\"{LEFT},{bottom} {right},{half}\"")), "{svg}");

        let long = draw("long", &moments(3000));
        let curve = long.split("curve waiting\" points=\"").nth(1).unwrap().split('"').next().unwrap();
        assert!(curve.split(' ').count() <= MOST_POINTS + 1);
    }

    #[test]
    fn scales_quarter_evenly_and_are_not_too_large() {
        for most in [0, 1, 3, 4, 5, 9, 21, 49, 99, 101, 10_000, 123_456, 999_999] {
            let step = step_up(most);
            assert!(step >= most && step.is_multiple_of(4) && step <= (most * 2).max(4), "{most}: {step}");
        }
    }
}
