//! One test suite over the traits of virt-api, run against every backend.
//!
//! ```no_run
//! # async fn example(driver: &dyn virt_api::Driver) {
//! let report = esx_conformance::run(driver, &esx_conformance::Expectations::default()).await;
//! report.assert();
//! # }
//! ```
//!
//! A check asks the driver the same thing in several ways and compares the answers, so it needs to know nothing of
//! the host: the suite fits the simulator, vcsim, a real ESX host and libvirt's own driver behind `virt-rpc`. The
//! suite only reads, unless [`Expectations::scratch_domain`] names a domain that it may change, or
//! [`Expectations::scratch_pool`] a storage pool. A function that the driver lacks (`VIR_ERR_NO_SUPPORT`) is skipped and named in the [`Report`];
//! whether a skip is acceptable is up to the caller.
//!
//! The checks are [`CHECKS`]; each of their functions can be run alone.

#![forbid(unsafe_code)]

mod changes;
mod documents;
mod domains;
mod host;
mod networks;
mod report;
mod storage;

use std::pin::Pin;

use virt_api::Driver;

pub use changes::{life_cycle_changes_states, resources_are_read_back, snapshots_form_a_tree};
pub use documents::{documents_agree_with_handles, unknown_xml_flags_are_refused};
pub use domains::{
    classic_lists_agree_with_each_other, details_agree_with_single_questions, devices_agree,
    filters_partition_the_list, list_agrees_with_lookups, states_agree, statistics_agree,
    unknown_domains_are_no_domain, unknown_list_flags_are_refused,
};
pub use host::{capabilities_describe_a_host, host_facts_make_sense};
pub use networks::{interfaces_agree_with_each_other, networks_agree_with_each_other};
pub use report::{Finding, Findings, Report};
pub use storage::{
    pool_details_agree_with_single_questions, pools_agree_with_lookups,
    unknown_pools_and_volumes_are_missing, volumes_agree_with_lookups, volumes_live_and_die,
};

/// What is known of the host beforehand.
#[derive(Clone, Debug)]
pub struct Expectations {
    /// At most so many domains are looked at one by one; lists are always compared as a whole.
    pub max_domains: usize,
    /// Whether each domain that is listed without a problem has a document. Otherwise one that cannot be had is a
    /// skip: vcsim, for one, has machines without a VMX file.
    pub every_domain_has_a_document: bool,
    /// Name of a domain that may be started, stopped and changed, and that nobody else touches meanwhile. Afterwards
    /// it is as it was before, as far as the driver does what it is told. Without one nothing is changed.
    pub scratch_domain: Option<String>,
    /// Name of a storage pool in which the folder `conformance` may be used. Without one no volume is made.
    pub scratch_pool: Option<String>,
}

impl Default for Expectations {
    fn default() -> Self {
        Self {
            max_domains: 50,
            every_domain_has_a_document: true,
            scratch_domain: None,
            scratch_pool: None,
        }
    }
}

/// What a check gives back while it runs.
pub type CheckFuture<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// One check.
#[derive(Clone, Copy)]
pub struct Check {
    /// Name of its function.
    pub name: &'static str,
    /// Runs it; what it finds goes into the last argument.
    pub run: for<'a> fn(&'a dyn Driver, &'a Expectations, &'a mut Findings) -> CheckFuture<'a>,
}

/// Lists checks by the names of their functions.
macro_rules! checks {
    ($($name:ident,)*) => {
        &[$(Check { name: stringify!($name), run: |driver, expect, found| Box::pin($name(driver, expect, found)) },)*]
    };
}

/// Every check.
pub const CHECKS: &[Check] = checks![
    host_facts_make_sense,
    capabilities_describe_a_host,
    list_agrees_with_lookups,
    states_agree,
    statistics_agree,
    devices_agree,
    details_agree_with_single_questions,
    filters_partition_the_list,
    unknown_list_flags_are_refused,
    classic_lists_agree_with_each_other,
    unknown_domains_are_no_domain,
    documents_agree_with_handles,
    unknown_xml_flags_are_refused,
    networks_agree_with_each_other,
    interfaces_agree_with_each_other,
    life_cycle_changes_states,
    snapshots_form_a_tree,
    resources_are_read_back,
    pools_agree_with_lookups,
    pool_details_agree_with_single_questions,
    unknown_pools_and_volumes_are_missing,
    volumes_agree_with_lookups,
    volumes_live_and_die,
];

/// Runs every check.
pub async fn run(driver: &dyn Driver, expect: &Expectations) -> Report {
    let mut report = Report::default();
    for check in CHECKS {
        let mut found = Findings::default();
        (check.run)(driver, expect, &mut found).await;
        report.add(check.name, found);
    }
    report
}
