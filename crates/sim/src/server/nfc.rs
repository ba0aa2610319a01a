//! `/nfc/TICKET/FILE`: disks of leases. The ticket in the path is all that is asked for.

use std::sync::Arc;

use hyper::{Method, StatusCode};

use super::body::ReplyBody;
use super::{Reply, Shared, plain, response};

pub(super) fn is_nfc(path: &str) -> bool {
    path.starts_with("/nfc/")
}

pub(super) fn serve(shared: &Shared, method: &Method, path: &str) -> Reply {
    const KIND: &str = "application/x-vnd.vmware-streamVmdk";
    if method != Method::GET {
        return Reply::of(plain(StatusCode::METHOD_NOT_ALLOWED, "only GET is simulated\n"));
    }
    let found = path.strip_prefix("/nfc/").and_then(|rest| rest.split_once('/'));
    let disk =
        found.and_then(|(ticket, file)| shared.with_model(|model| model.lease_file(ticket, file)));
    Reply::of(match disk {
        Some(disk) => {
            response(StatusCode::OK, KIND, ReplyBody::disk(disk, Arc::clone(&shared.transfers)))
        }
        None => plain(StatusCode::NOT_FOUND, "not found\n"),
    })
}
