//! `onsale admin`: one call of an operator, or all pages of one, and what came of it.

use std::io::{Read, Write};
use std::path::Path;

use reqwest::Method;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::client::Client;
use super::{AdminSettings, ConcertVerb, ConsoleError, QueueVerb, Verb, answers, shown};

/// The most acts that one answer lists.
const LARGEST_PAGE: usize = 100;

/// Does what is asked, and writes what the server says of it.
pub async fn admin(settings: &AdminSettings, out: &mut impl Write) -> Result<(), ConsoleError> {
    let client = Client::new(&settings.reach)?;
    let (answer, show) = ask(&client, &settings.verb).await?;
    if settings.reach.json {
        writeln!(out, "{answer}")?;
    } else {
        out.write_all(show(&client, answer)?.as_bytes())?;
    }
    Ok(out.flush()?)
}

/// Makes a text for people of an answer.
type Show = fn(&Client, Value) -> Result<String, ConsoleError>;

async fn ask(client: &Client, verb: &Verb) -> Result<(Value, Show), ConsoleError> {
    match verb {
        Verb::Queues => Ok((client.all(&["queues"], "queues").await?, |client, answer| {
            Ok(shown::queues(&read::<answers::Queues>(client, answer)?.queues).to_string())
        })),
        Verb::Queue(verb) => {
            let answer = queue(client, verb).await?;
            Ok((answer, |client, answer| Ok(shown::queue(&read(client, answer)?))))
        }
        Verb::Concerts(verb) => concerts(client, verb).await,
        Verb::Figures { concert } => {
            let concert = concert.map(|concert| ("concertId", concert.to_string()));
            let answer = figures(client, concert.as_slice()).await?;
            Ok((answer, |client, answer| {
                let queues = read::<Vec<shown::NamedFigures>>(client, answer["queues"].clone())?;
                Ok(shown::figures(&queues, &read(client, answer)?))
            }))
        }
        Verb::Log { count } => {
            let answer = log(client, usize::try_from(*count).unwrap_or(usize::MAX)).await?;
            Ok((answer, |client, answer| Ok(shown::log(&read(client, answer)?).to_string())))
        }
    }
}

async fn queue(client: &Client, verb: &QueueVerb) -> Result<Value, ConsoleError> {
    let fields = |settings: &[(String, Value)]| settings.iter().cloned().collect::<Map<_, _>>();
    let body = |fields: Map<String, Value>| Some(Value::Object(fields).to_string().into_bytes());
    match verb {
        QueueVerb::Show { name } => client.get(&["queues", name], &[]).await,
        QueueVerb::Create { name, settings } => {
            let mut fields = fields(settings);
            fields.insert("name".to_owned(), json!(name));
            client.change(Method::POST, &["queues"], body(fields)).await
        }
        QueueVerb::Set { name, settings } => {
            client.change(Method::PATCH, &["queues", name], body(fields(settings))).await
        }
        QueueVerb::Pause { name } => client.change(Method::POST, &["queues", name, "pause"], None).await,
        QueueVerb::Resume { name } => client.change(Method::POST, &["queues", name, "resume"], None).await,
        QueueVerb::Drain { name } => client.change(Method::POST, &["queues", name, "drain"], None).await,
    }
}

async fn concerts(client: &Client, verb: &ConcertVerb) -> Result<(Value, Show), ConsoleError> {
    match verb {
        ConcertVerb::List => Ok((client.all(&["concerts"], "concerts").await?, |client, answer| {
            Ok(shown::concerts(&read::<answers::Concerts>(client, answer)?.concerts).to_string())
        })),
        ConcertVerb::Create { file } => {
            let answer = client.change(Method::POST, &["concerts"], Some(plan(file)?)).await?;
            Ok((answer, |client, answer| Ok(shown::created(&read(client, answer)?))))
        }
        ConcertVerb::AddSchedule { concert, file } => {
            let path = ["concerts", &concert.to_string(), "schedules"];
            let answer = client.change(Method::POST, &path, Some(plan(file)?)).await?;
            Ok((answer, |client, answer| Ok(shown::added(&[read(client, answer)?]).to_string())))
        }
        ConcertVerb::Seats { schedule } => {
            let answer = client.get(&["concerts", "schedules", &schedule.to_string(), "seats"], &[]).await?;
            Ok((answer, |client, answer| Ok(shown::seats(&read::<answers::Plan>(client, answer)?.seats).to_string())))
        }
    }
}

/// With all schedules, which are answered by the page.
async fn figures(client: &Client, concert: &[(&str, String)]) -> Result<Value, ConsoleError> {
    let mut all = Vec::new();
    for page in 1_u32.. {
        let paging = [("page", page.to_string()), ("size", LARGEST_PAGE.to_string())];
        let mut answer = client.get(&["figures"], &[concert, &paging].concat()).await?;
        let Value::Array(some) = answer["schedules"].take() else { return Err(client.strange()) };
        let is_last = some.len() < LARGEST_PAGE;
        all.extend(some);
        if is_last {
            let fields = answer.as_object_mut().ok_or_else(|| client.strange())?;
            fields.retain(|name, _| name != "page" && name != "size");
            fields.insert("schedules".to_owned(), Value::Array(all));
            return Ok(answer);
        }
    }
    Err(client.strange())
}

/// The newest acts, as many.
async fn log(client: &Client, count: usize) -> Result<Value, ConsoleError> {
    let (mut all, mut cursor) = (Vec::new(), None);
    while all.len() < count {
        let size = (count - all.len()).min(LARGEST_PAGE);
        let mut query = vec![("size", size.to_string())];
        query.extend(cursor.map(|cursor: i64| ("cursor", cursor.to_string())));
        let mut answer = client.get(&["audit"], &query).await?;
        let Value::Array(some) = answer["entries"].take() else { return Err(client.strange()) };
        all.extend(some);
        cursor = answer["nextCursor"].as_i64();
        if cursor.is_none() {
            break;
        }
    }
    Ok(json!({ "entries": all, "nextCursor": cursor }))
}

fn read<T: DeserializeOwned>(client: &Client, answer: Value) -> Result<T, ConsoleError> {
    serde_json::from_value(answer).map_err(|_| client.strange())
}

/// A file, or standard input; what is in it the server judges.
fn plan(path: &Path) -> Result<Vec<u8>, ConsoleError> {
    let mut plan = Vec::new();
    let read = if path.as_os_str() == "-" {
        std::io::stdin().read_to_end(&mut plan)
    } else {
        std::fs::File::open(path).and_then(|mut file| file.read_to_end(&mut plan))
    };
    read.map(|_| plan).map_err(|source| ConsoleError::File { path: path.to_owned(), source })
}
