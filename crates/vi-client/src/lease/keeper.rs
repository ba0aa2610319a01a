//! Tells the host that a lease is still needed.

use std::sync::Weak;
use std::time::Duration;

use esx_vi_api::methods::HttpNfcLeaseProgress;
use tokio::time::Instant;

use super::Inner;

/// The longest time between two signs of life.
const LONGEST_PAUSE: Duration = Duration::from_secs(20);

/// Tells the host how far the transfer is, as long as the lease is there: five times and more before it would expire.
pub(super) async fn keep(lease: Weak<Inner>) {
    let Some((timeout, client, moref)) = lease.upgrade().map(|lease| {
        let held = &lease.held;
        (lease.timeout, held.client.clone(), held.moref.clone())
    }) else {
        return;
    };
    let pause = (timeout / 5).min(LONGEST_PAUSE);
    let mut heard = Instant::now();
    loop {
        tokio::time::sleep(pause).await;
        let Some(percent) = lease.upgrade().map(|lease| lease.percent()) else { return };
        let error = match client.call(&moref, &HttpNfcLeaseProgress { percent }).await {
            Ok(()) => {
                heard = Instant::now();
                continue;
            }
            Err(error) => error,
        };
        tracing::debug!(%error, "the lease was not renewed");
        // A host that cannot be reached may be there again in time; one that refuses has ended the lease.
        if error.fault().is_some() || heard.elapsed() >= timeout {
            if let Some(lease) = lease.upgrade() {
                lease.lose(match error.fault() {
                    Some(fault) => fault.to_string(),
                    None => error.to_string(),
                });
            }
            return;
        }
    }
}
