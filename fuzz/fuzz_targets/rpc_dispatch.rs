//! A connection takes any packets, open or not, and answers every call.
#![no_main]

use std::future::Future as _;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use libfuzzer_sys::fuzz_target;
use virt_api::{Driver, Hypervisor, Unsupported};
use virt_rpc::dispatch::dispatch;
use virt_rpc::frame::FrameDecoder;
use virt_rpc::session::{Action, AuthMethod, Session, SessionOptions};

struct Nothing;
impl Driver for Nothing {
    fn hypervisor(&self) -> &dyn Hypervisor {
        &Unsupported
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((first, bytes)) = bytes.split_first() else { return };
    let read_only = first & 1 != 0;
    let auth = if first & 2 == 0 { vec![AuthMethod::None] } else { vec![AuthMethod::Sasl] };
    let mut session = Session::new(SessionOptions { read_only, auth });
    let mut decoder = FrameDecoder::default();
    decoder.push(bytes);
    while let Ok(Some(packet)) = decoder.next_packet() {
        match session.receive(packet) {
            Action::Open(call) => {
                session.opened(&call, Ok(())).to_bytes().expect("a reply");
            }
            Action::Call { packet, read_only, .. } => {
                let answer = pin!(dispatch(&Nothing, read_only, &packet))
                    .poll(&mut Context::from_waker(Waker::noop()));
                let Poll::Ready(outcome) = answer else { panic!("nothing to wait for") };
                assert_eq!(outcome.reply.header.serial, packet.header.serial);
                outcome.reply.to_bytes().expect("a reply");
            }
            Action::Register(register) => {
                session.registered(&register, Ok(())).to_bytes().expect("a reply");
            }
            Action::Send(packet) | Action::Close(packet) => {
                packet.to_bytes().expect("a reply");
            }
            Action::Abort(_) => return,
            _ => {}
        }
    }
});
