//! Calls of a client become calls of a driver, and their results replies.
//!
//! [`dispatch`] does one call and does not care how calls are ordered, queued or cancelled. What belongs to the
//! connection itself (opening, authentication, registrations, stream packets) is in [`session`](crate::session).

mod domain;
mod host;
mod network;
mod own;
mod snapshot;
mod storage;

use virt_api::{
    DomainModificationFlags, Driver, Error, ErrorCode, ErrorDomain, Stream, TypedParam, TypedValue,
};

use crate::error::WireError;
use crate::frame::{Packet, Status};
use crate::procedure::{Layout, Procedure, StreamDirection, unsupported};
use crate::types::{MAX_LIST, Objects};
use crate::xdr::{self, Xdr};

/// What a call came to.
pub struct Outcome {
    /// The reply.
    pub reply: Packet,
    /// The stream that it opened.
    pub stream: Option<OpenStream>,
}

/// A stream that a call opened. Its packets carry serial and procedure of that call.
pub struct OpenStream {
    /// Which way it goes.
    pub direction: StreamDirection,
    /// Whether holes may be sent.
    pub sparse: bool,
    /// The driver's end.
    pub stream: Box<dyn Stream>,
}

/// Does the call in `packet` and answers it. A payload that cannot be read is answered with an error, as is a
/// procedure that changes something on a read-only connection.
pub async fn dispatch(driver: &dyn Driver, read_only: bool, packet: &Packet) -> Outcome {
    let number = packet.header.procedure;
    let Some(procedure) = Procedure::of(&packet.header) else {
        let error = match unsupported(number) {
            Some(function) => (&Error::no_support(function)).into(),
            None => WireError::unknown_procedure(number),
        };
        return Outcome { reply: wire_error_reply(packet, &error), stream: None };
    };
    let call = Call { procedure, payload: &packet.payload, read_only };
    let (result, stream) = match procedure.stream() {
        Some(direction) => match storage::open_stream(driver, &call, direction).await {
            Ok((bytes, stream)) => (Ok(bytes), Some(stream)),
            Err(error) => (Err(error), None),
        },
        None => (run(driver, &call).await, None),
    };
    let reply = match result {
        Ok(bytes) => Packet::new(packet.header.reply(Status::Ok), bytes),
        Err(error) => error_reply(packet, &error),
    };
    Outcome { reply, stream }
}

/// An error as the reply to a call.
#[must_use]
pub fn error_reply(call: &Packet, error: &Error) -> Packet {
    wire_error_reply(call, &error.into())
}

fn wire_error_reply(call: &Packet, error: &WireError) -> Packet {
    let bytes = xdr::to_bytes(error).unwrap_or_else(|problem| {
        tracing::warn!(%problem, "an error that cannot be sent");
        Vec::new()
    });
    Packet::new(call.header.reply(Status::Error), bytes)
}

/// Of the flags of a call for parameters: the caller understands texts. A matter of the wire, no driver sees it.
pub(crate) const TEXTS: DomainModificationFlags = DomainModificationFlags::from_bits_retain(1 << 2);

/// Bytes of a reply.
type Answer = Result<Vec<u8>, Error>;

async fn run(driver: &dyn Driver, call: &Call<'_>) -> Answer {
    let hypervisor = driver.hypervisor();
    if let Some(answer) = host::answer(hypervisor, call).await {
        return answer;
    }
    if let Some(answer) = domain::read(hypervisor, call).await {
        return answer;
    }
    if let Some(answer) = domain::change(hypervisor, call).await {
        return answer;
    }
    if let Some(answer) = snapshot::answer(hypervisor, call).await {
        return answer;
    }
    if let Some(answer) = storage::answer(driver.storage(), call).await {
        return answer;
    }
    if let Some(answer) = network::networks(driver.network(), call).await {
        return answer;
    }
    if let Some(answer) = network::interfaces(driver.interface(), call).await {
        return answer;
    }
    if let Some(answer) = own::answer(driver, call).await {
        return answer;
    }
    // Those of the session: a caller that sends one here has no session.
    let message = format!("{} does not belong to the driver", call.procedure.function());
    Err(Error::internal(ErrorDomain::Rpc, message))
}

/// One call on its way.
struct Call<'a> {
    procedure: Procedure,
    payload: &'a [u8],
    read_only: bool,
}

impl Call<'_> {
    /// The arguments, if the connection may call with them.
    fn args<L: Layout>(&self) -> Result<L::Args, Error> {
        let (args, left) = xdr::from_bytes::<L::Args>(self.payload)?;
        if left > 0 {
            tracing::debug!(procedure = ?self.procedure, left, "bytes after the arguments");
        }
        if self.read_only && L::needs_write(&args) {
            return Err(Error::read_only(self.procedure.function()));
        }
        Ok(args)
    }
}

fn reply<L: Layout>(reply: &L::Reply) -> Answer {
    Ok(xdr::to_bytes(reply)?)
}

/// No driver has this function.
fn lacks<T>(function: &str) -> Result<T, Error> {
    Err(Error::no_support(function))
}

/// An async function that answers the procedures named in it and says `None` to others.
macro_rules! handlers {
    ($(#[$meta:meta])* $name:ident($driver:ident: &dyn $trait:ident) {
        $($procedure:ident($($arg:pat),*) => $reply:expr;)*
    }) => {
        $(#[$meta])*
        pub(super) async fn $name(
            $driver: &dyn virt_api::$trait,
            call: &crate::dispatch::Call<'_>,
        ) -> Option<crate::dispatch::Answer> {
            match call.procedure {
                $(crate::procedure::Procedure::$procedure => Some(
                    async {
                        let ($($arg,)*) = call.args::<crate::procedure::call::$procedure>()?;
                        crate::dispatch::reply::<crate::procedure::call::$procedure>(&$reply)
                    }
                    .await,
                ),)*
                _ => None,
            }
        }
    };
}
use handlers;

/// Objects and their number; the objects only if they are wanted.
fn listed<T: Xdr>(wanted: bool, objects: Vec<T>) -> Result<(Objects<T>, u32), Error> {
    if objects.len() > MAX_LIST {
        let message = format!(
            "{} objects are more than the {MAX_LIST} that fit into a message: name a datacenter, cluster or host \
             in the URI",
            objects.len()
        );
        return Err(Error::new(ErrorCode::Rpc, ErrorDomain::Rpc, message));
    }
    let count = u32::try_from(objects.len()).unwrap_or(u32::MAX);
    Ok((if wanted { objects.into() } else { Vec::new().into() }, count))
}

/// Parameters for a caller that takes at most `max`, with texts only if it understands them.
fn fitting(mut params: Vec<TypedParam>, max: usize, texts: bool) -> Vec<TypedParam> {
    params.retain(|param| texts || !matches!(param.value, TypedValue::String(_)));
    params.truncate(max);
    params
}

#[cfg(test)]
mod tests;
