//! Who asks: one thread that waits for all its connections at once and sends requests that were written beforehand, so
//! that it takes as little as can be of the processors that it shares with what is measured. Of an answer it reads the
//! status and the length.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::stage::Outcome;

/// What is read at a time: most answers at once, a large hall's in a few parts.
const BUFFER: usize = 256 * 1024;

/// How long nothing at all may come.
const SILENCE_MS: u16 = 10_000;

/// How long an open run may go on beyond its time, until all is answered.
const BACKLOG: Duration = Duration::from_secs(10);

/// An open run sends so often. Waking up for each request would take the processors from what is measured.
const TICK: Duration = Duration::from_millis(1);

/// By which the timer is told from connections.
const TIMER: u64 = u64::MAX;

/// When requests are sent.
#[derive(Debug, Clone, Copy)]
pub(super) enum Pace {
    /// On each connection as soon as the last is answered.
    BackToBack,
    /// So many a second on the average, at random times, whether others are answered or not; those of a tick together.
    Arrivals(f64),
}

/// What is to be asked.
pub(super) struct Load<'a> {
    pub(super) address: SocketAddr,
    pub(super) requests: &'a [String],
    /// From the first again after the last; else it ends with the last.
    pub(super) again: bool,
    pub(super) connections: usize,
    pub(super) pace: Pace,
    pub(super) time: Duration,
    /// What every answer's status has to be.
    pub(super) status: u16,
    /// Whether the answers' bodies are wanted.
    pub(super) keep: bool,
}

/// What was answered.
#[derive(Debug, Default)]
pub(super) struct Answers {
    /// How many requests were sent, and answered.
    pub(super) count: usize,
    pub(super) seconds: f64,
    /// From when each was to be sent, in microseconds.
    pub(super) times_us: Vec<u32>,
    /// By the request's number.
    pub(super) bodies: Vec<(usize, Vec<u8>)>,
}

struct Connection {
    stream: TcpStream,
    request: usize,
    begun: Instant,
    /// Of a head that has not come whole, or of a body that is wanted.
    input: Vec<u8>,
    /// Of the body, once the head is there.
    missing: Option<usize>,
    status: u16,
}

impl Load<'_> {
    /// Sends and reads; any other status ends it.
    pub(super) fn run(&self) -> Outcome<Answers> {
        Run::new(self)?.go()
    }
}

struct Run<'a> {
    load: &'a Load<'a>,
    epoll: Epoll,
    timer: TimerFd,
    connections: Vec<Connection>,
    idle: Vec<usize>,
    answers: Answers,
    sent: usize,
    due: Instant,
    chance: StdRng,
}

impl<'a> Run<'a> {
    fn new(load: &'a Load<'a>) -> Outcome<Self> {
        let epoll = Epoll::new(EpollCreateFlags::empty())?;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK)?;
        epoll.add(&timer, EpollEvent::new(EpollFlags::EPOLLIN, TIMER))?;
        let mut connections = Vec::new();
        for at in 0..load.connections {
            let stream = TcpStream::connect(load.address)?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            epoll.add(&stream, EpollEvent::new(EpollFlags::EPOLLIN, at as u64))?;
            let begun = Instant::now();
            connections.push(Connection { stream, request: 0, begun, input: Vec::new(), missing: None, status: 0 });
        }
        let idle = (0..load.connections).rev().collect();
        let (answers, chance) = (Answers::default(), StdRng::seed_from_u64(7));
        Ok(Self { load, epoll, timer, connections, idle, answers, sent: 0, due: Instant::now(), chance })
    }

    fn go(mut self) -> Outcome<Answers> {
        let (begun, mut buffer) = (Instant::now(), vec![0; BUFFER]);
        let mut events = vec![EpollEvent::empty(); self.load.connections + 1];
        self.due = begun;
        loop {
            let now = Instant::now();
            self.send_due(begun, now)?;
            if self.idle.len() == self.connections.len() && self.is_over(begun, now) {
                self.answers.seconds = begun.elapsed().as_secs_f64();
                return Ok(self.answers);
            }
            if now > begun + self.load.time + BACKLOG {
                return Err("requests came faster than they were answered".into());
            }
            let ready = self.epoll.wait(&mut events, EpollTimeout::from(SILENCE_MS))?;
            if ready == 0 {
                return Err(format!("no answer for {SILENCE_MS} ms").into());
            }
            for event in &events[..ready] {
                if event.data() == TIMER {
                    self.timer.wait()?;
                } else {
                    self.receive(usize::try_from(event.data())?, &mut buffer)?;
                }
            }
        }
    }

    fn is_over(&self, begun: Instant, now: Instant) -> bool {
        let all_sent = !self.load.again && self.sent == self.load.requests.len();
        all_sent || if matches!(self.load.pace, Pace::BackToBack) { now } else { self.due } >= begun + self.load.time
    }

    /// Sends what is to be sent by now, as far as there are connections for it.
    fn send_due(&mut self, begun: Instant, now: Instant) -> Outcome {
        while !self.idle.is_empty() && !self.is_over(begun, now) {
            match self.load.pace {
                Pace::BackToBack => self.send(now)?,
                Pace::Arrivals(rate) if tick_after(self.due, begun) <= now => {
                    self.send(tick_after(self.due, begun))?;
                    let chance: f64 = self.chance.random();
                    self.due += Duration::from_secs_f64(-(1.0 - chance).ln() / rate);
                }
                Pace::Arrivals(_) => {
                    let next = tick_after(self.due, begun).saturating_duration_since(now).max(Duration::from_nanos(1));
                    let next = TimeSpec::from_duration(next);
                    return Ok(self.timer.set(Expiration::OneShot(next), TimerSetTimeFlags::empty())?);
                }
            }
        }
        Ok(())
    }

    fn send(&mut self, begun: Instant) -> Outcome {
        let Some(at) = self.idle.pop() else { return Ok(()) };
        let connection = &mut self.connections[at];
        connection.request = self.sent % self.load.requests.len();
        connection.begun = begun;
        let request = self.load.requests[connection.request].as_bytes();
        if connection.stream.write(request)? != request.len() {
            return Err("a request did not go out whole".into());
        }
        self.sent += 1;
        Ok(())
    }

    fn receive(&mut self, at: usize, buffer: &mut [u8]) -> Outcome {
        let connection = &mut self.connections[at];
        let read = match connection.stream.read(buffer) {
            Ok(0) => return Err("a connection was closed".into()),
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        if !connection.take(&buffer[..read], self.load)? {
            return Ok(());
        }
        if connection.status != self.load.status {
            let (status, body) = (connection.status, String::from_utf8_lossy(&connection.input));
            let request = &self.load.requests[connection.request];
            return Err(format!("answered {status} {body:.400}\nto {request}").into());
        }
        let time = connection.begun.elapsed().as_micros();
        self.answers.times_us.push(u32::try_from(time).unwrap_or(u32::MAX));
        if self.load.keep {
            self.answers.bodies.push((connection.request, std::mem::take(&mut connection.input)));
        }
        connection.input.clear();
        connection.missing = None;
        self.answers.count += 1;
        self.idle.push(at);
        Ok(())
    }
}

impl Connection {
    /// Whether the answer is whole.
    fn take(&mut self, bytes: &[u8], load: &Load<'_>) -> Outcome<bool> {
        if let Some(missing) = self.missing {
            return self.take_body(bytes, missing, load);
        }
        if self.input.is_empty() {
            if let Some(end) = end_of_head(bytes) {
                return self.take_head(&bytes[..end], &bytes[end..], load);
            }
            self.input.extend_from_slice(bytes);
            return Ok(false);
        }
        self.input.extend_from_slice(bytes);
        let whole = std::mem::take(&mut self.input);
        let Some(end) = end_of_head(&whole) else {
            self.input = whole;
            return Ok(false);
        };
        self.take_head(&whole[..end], &whole[end..], load)
    }

    fn take_head(&mut self, head: &[u8], body: &[u8], load: &Load<'_>) -> Outcome<bool> {
        let head = std::str::from_utf8(head)?;
        self.status = head.get(9..12).ok_or("no status")?.parse()?;
        let length = head.split("\r\n").find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>())
        });
        self.take_body(body, length.unwrap_or(Ok(0))?, load)
    }

    fn take_body(&mut self, bytes: &[u8], missing: usize, load: &Load<'_>) -> Outcome<bool> {
        if load.keep || self.status != load.status {
            self.input.extend_from_slice(bytes);
        }
        let left = missing.checked_sub(bytes.len()).ok_or("an answer is longer than it says")?;
        self.missing = Some(left);
        Ok(left == 0)
    }
}

/// When a request that is due at a time is sent: all that are due within a tick, together.
fn tick_after(due: Instant, begun: Instant) -> Instant {
    let ticks = (due - begun).as_nanos().div_ceil(TICK.as_nanos());
    begun + TICK * u32::try_from(ticks).unwrap_or(u32::MAX)
}

/// Where the body begins.
fn end_of_head(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

/// One answer, its head too.
pub(super) fn ask(address: SocketAddr, request: &str) -> Outcome<(String, Vec<u8>)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(request.replacen("\r\n", "\r\nconnection: close\r\n", 1).as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let end = end_of_head(&answer).ok_or("an answer without an end")?;
    let body = answer.split_off(end);
    Ok((String::from_utf8(answer)?, body))
}
