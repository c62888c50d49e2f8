//! What every call with a token pays before anything else: `cargo bench --bench token`.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use onsale::queue::{Claim, QueueId, Signer};

fn token(criterion: &mut Criterion) {
    let signer = Signer::new(&[7; 32]);
    let Ok(user) = 42.try_into() else { return };
    let claim = Claim { queue: QueueId(1), user, place: 1 << 40 };
    let token = signer.sign(&claim);
    criterion.bench_function("token/sign", |bench| bench.iter(|| signer.sign(black_box(&claim))));
    criterion.bench_function("token/verify", |bench| bench.iter(|| signer.verify(black_box(&token))));
}

criterion_group!(benches, token);
criterion_main!(benches);
