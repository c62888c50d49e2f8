//! What happens on a connection, noted by who reads and writes it, for its task to look at now and then.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::Patience;
use crate::redis::millis;

/// No head is under way.
const NO_HEAD: u64 = u64::MAX;

/// When something moved last, and since when a head is under way. One task does all of it: the order of these does not
/// matter to anybody. Times are ms since the connection began.
#[derive(Debug)]
pub(super) struct Activity {
    began: Instant,
    moved: AtomicU64,
    head_since: AtomicU64,
    /// Whether what is read next begins a head: not while a call is being answered, when it is the call's body.
    between_calls: AtomicBool,
}

/// Why a connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Overdue {
    Head,
    Idle,
}

impl Overdue {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Head => "head",
            Self::Idle => "idle",
        }
    }
}

impl Activity {
    /// A connection that has just been made owes a head.
    pub(super) fn begin() -> Self {
        let (moved, head_since) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { began: Instant::now(), moved, head_since, between_calls: AtomicBool::new(true) }
    }

    fn has_read(&self) {
        let now = millis(self.began.elapsed());
        self.moved.store(now, Ordering::Relaxed);
        if self.between_calls.load(Ordering::Relaxed) && self.head_since.load(Ordering::Relaxed) == NO_HEAD {
            self.head_since.store(now, Ordering::Relaxed);
        }
    }

    /// An answer has begun: what comes next is another call.
    fn has_written(&self) {
        self.moved.store(millis(self.began.elapsed()), Ordering::Relaxed);
        self.between_calls.store(true, Ordering::Relaxed);
    }

    pub(super) fn head_is_read(&self) {
        self.head_since.store(NO_HEAD, Ordering::Relaxed);
        self.between_calls.store(false, Ordering::Relaxed);
    }

    /// When to look again, unless something is overdue.
    pub(super) fn look(&self, patience: Patience) -> Result<Instant, Overdue> {
        let now = Instant::now();
        let since = |ms: u64| self.began + Duration::from_millis(ms);
        if !self.between_calls.load(Ordering::Relaxed) {
            // A call that is under way has time of its own.
            return Ok(now + patience.head);
        }
        let idle = since(self.moved.load(Ordering::Relaxed)) + patience.idle;
        if idle <= now {
            return Err(Overdue::Idle);
        }
        match self.head_since.load(Ordering::Relaxed) {
            // One that begins after this look is not overdue before the next.
            NO_HEAD => Ok(idle.min(now + patience.head)),
            head if since(head) + patience.head <= now => Err(Overdue::Head),
            head => Ok(idle.min(since(head) + patience.head)),
        }
    }
}

/// A stream that notes what moves.
#[derive(Debug)]
pub(super) struct Watched {
    stream: TcpStream,
    activity: Arc<Activity>,
}

impl Watched {
    pub(super) fn new(stream: TcpStream, activity: Arc<Activity>) -> Self {
        Self { stream, activity }
    }

    fn noted(&self, written: io::Result<usize>) -> Poll<io::Result<usize>> {
        if written.as_ref().is_ok_and(|bytes| *bytes > 0) {
            self.activity.has_written();
        }
        Poll::Ready(written)
    }
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, buf));
        if buf.filled().len() > before {
            self.activity.has_read();
        }
        Poll::Ready(read)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, buf));
        self.noted(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, bufs));
        self.noted(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience { head: Duration::from_millis(40), idle: Duration::from_millis(120) };

    fn after(ms: u64) {
        std::thread::sleep(Duration::from_millis(ms));
    }

    #[test]
    fn a_head_must_come_in_time_from_connecting_on() {
        let activity = Activity::begin();
        assert!(activity.look(PATIENCE).is_ok());
        after(50);
        assert_eq!(activity.look(PATIENCE), Err(Overdue::Head));
        activity.head_is_read();
        assert!(activity.look(PATIENCE).is_ok());
    }

    #[test]
    fn a_body_and_an_answer_are_no_head_and_the_next_call_is_one() {
        let activity = Activity::begin();
        activity.has_read();
        activity.head_is_read();
        activity.has_read();
        after(50);
        assert!(activity.look(PATIENCE).is_ok(), "a body");
        activity.has_written();
        assert!(activity.look(PATIENCE).is_ok(), "an answer");
        activity.has_read();
        after(50);
        activity.has_read();
        assert_eq!(activity.look(PATIENCE), Err(Overdue::Head), "drops of a head do not make it newer");
    }

    #[test]
    fn whatever_moves_keeps_it_open() {
        let activity = Activity::begin();
        activity.head_is_read();
        after(150);
        assert!(activity.look(PATIENCE).is_ok(), "a call that takes long");
        activity.has_written();
        after(80);
        assert!(activity.look(PATIENCE).is_ok());
        after(50);
        assert_eq!(activity.look(PATIENCE), Err(Overdue::Idle));
    }
}
