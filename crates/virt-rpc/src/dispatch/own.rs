//! What only clients of ours call: whole lists, details, questions.

use virt_api::Driver;

use super::{Answer, Call, handlers};
use crate::types::StateAndReason;
use crate::types::own::{Document, Tagged};

/// Everything of the program of our own.
pub(super) async fn answer(driver: &dyn Driver, call: &Call<'_>) -> Option<Answer> {
    if let Some(answer) = domains(driver.hypervisor(), call).await {
        return Some(answer);
    }
    if let Some(answer) = storage(driver.storage(), call).await {
        return Some(answer);
    }
    questions(driver.questions(), call).await
}

handlers! {
    /// Domains and snapshots.
    domains(hypervisor: &dyn Hypervisor) {
        OwnListAllDomains(flags) => hypervisor.connect_list_all_domains(flags).await?.into();
        OwnDomainGetDetails(selector) => hypervisor.domain_get_details(&selector).await?;
        OwnDomainLookupState(selector) => {
            let (state, reason) = hypervisor.domain_lookup_state(&selector).await?;
            StateAndReason(state, reason)
        };
        OwnDomainListBlockDevices(domain) => {
            hypervisor.domain_list_block_devices(&domain).await?.into()
        };
        OwnDomainListInterfaceDevices(domain) => {
            hypervisor.domain_list_interface_devices(&domain).await?.into()
        };
        OwnDomainMemoryStats(domain, flags) => {
            let stats = hypervisor.domain_memory_stats(&domain, flags).await?;
            stats.into_iter().map(Tagged).collect::<Vec<_>>().into()
        };
        OwnDomainInspect(domains) => hypervisor.domain_inspect(&domains.0).await?.into();
        OwnSnapshotsGetXmlDesc(snapshots, flags) => {
            let found = hypervisor.domain_snapshots_get_xml_desc(&snapshots.0, flags).await?;
            found.into_iter().map(Document::from).collect::<Vec<_>>().into()
        };
    }
}

handlers! {
    /// Pools and volumes.
    storage(storage: &dyn Storage) {
        OwnListStoragePoolDetails(flags) => {
            storage.connect_list_storage_pool_details(flags).await?.into()
        };
        OwnStoragePoolListVolumeDetails(pool, flags) => {
            storage.storage_pool_list_volume_details(&pool, flags).await?.into()
        };
    }
}

handlers! {
    /// Questions of domains.
    questions(questions: &dyn Questions) {
        OwnListQuestions(domain) => questions.list_questions(domain.as_ref()).await?.into();
        OwnAnswerQuestion(question, key) => questions.answer_question(&question, &key).await?;
    }
}
