//! A TCP proxy that makes faults: one link for each connection's two ends, each with a weather of its own.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, tcp};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::Outcome;
use crate::history::lock;

/// What happens on a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    /// Everything passes.
    Fair,
    /// One in so many requests is lost with its connection, before it has reached anybody.
    CutBefore(u32),
    /// One in so many requests passes, but its connection is cut in place of the answer.
    CutAfter(u32),
    /// Everything takes so much longer, each way.
    Slow(Duration),
    /// Nothing passes while it lasts; then what was sent arrives, late.
    Dark,
    /// New connections are closed at once.
    Refusing,
}

/// A way from one side to the other.
#[derive(Debug)]
pub struct Link {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    weather: watch::Sender<Weather>,
    target: Mutex<SocketAddr>,
    cuts: AtomicU64,
    lots: Mutex<StdRng>,
}

impl Link {
    /// Listens on a free port, in fair weather.
    pub async fn to(target: SocketAddr, seed: u64) -> Outcome<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let weather = watch::Sender::new(Weather::Fair);
        let lots = Mutex::new(StdRng::seed_from_u64(seed));
        let shared = Arc::new(Shared { weather, target: Mutex::new(target), cuts: AtomicU64::new(0), lots });
        let accepting = tokio::spawn(accept(listener, shared.clone()));
        Ok(Self { address, shared, accepting })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// New connections go there from now on.
    pub fn lead_to(&self, target: SocketAddr) {
        *lock(&self.shared.target) = target;
    }

    /// Changes the weather.
    pub fn turn(&self, weather: Weather) {
        self.shared.weather.send_replace(weather);
    }

    /// How many connections were cut.
    pub fn cuts(&self) -> u64 {
        self.shared.cuts.load(Ordering::Relaxed)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let Ok((near, _)) = listener.accept().await else { continue };
        if *shared.weather.borrow() == Weather::Refusing {
            shared.cuts.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        let shared = shared.clone();
        tokio::spawn(async move { join(near, &shared).await });
    }
}

/// Passes bytes both ways until either side closes or the connection is cut.
async fn join(near: TcpStream, shared: &Shared) -> io::Result<()> {
    let target = *lock(&shared.target);
    let far = TcpStream::connect(target).await?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    // The answer to the next request will not come.
    let doomed = AtomicBool::new(false);
    tokio::select! {
        ended = requests(near_read, far_write, shared, &doomed) => ended,
        ended = answers(far_read, near_write, shared, &doomed) => ended,
    }
}

async fn requests(
    mut from: tcp::OwnedReadHalf,
    mut to: tcp::OwnedWriteHalf,
    shared: &Shared,
    doomed: &AtomicBool,
) -> io::Result<()> {
    let mut buffer = vec![0; 32 * 1024];
    loop {
        let length = from.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        match shared.passing().await {
            Weather::CutBefore(one_in) if shared.drawn(one_in) => return Err(shared.cut()),
            Weather::CutAfter(one_in) if shared.drawn(one_in) => doomed.store(true, Ordering::SeqCst),
            _ => {}
        }
        to.write_all(&buffer[..length]).await?;
    }
}

async fn answers(
    mut from: tcp::OwnedReadHalf,
    mut to: tcp::OwnedWriteHalf,
    shared: &Shared,
    doomed: &AtomicBool,
) -> io::Result<()> {
    let mut buffer = vec![0; 32 * 1024];
    loop {
        let length = from.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        shared.passing().await;
        if doomed.load(Ordering::SeqCst) {
            return Err(shared.cut());
        }
        to.write_all(&buffer[..length]).await?;
    }
}

impl Shared {
    /// Waits until something may pass; returns the weather that it passes in.
    async fn passing(&self) -> Weather {
        let mut weather = self.weather.subscribe();
        let now = *weather.borrow_and_update();
        match now {
            Weather::Slow(by) => tokio::time::sleep(by).await,
            // Fails only when there is nobody left to change it.
            Weather::Dark => _ = weather.wait_for(|weather| *weather != Weather::Dark).await,
            _ => {}
        }
        now
    }

    fn drawn(&self, one_in: u32) -> bool {
        lock(&self.lots).random_ratio(1, one_in.max(1))
    }

    fn cut(&self) -> io::Error {
        self.cuts.fetch_add(1, Ordering::Relaxed);
        io::ErrorKind::ConnectionReset.into()
    }
}
