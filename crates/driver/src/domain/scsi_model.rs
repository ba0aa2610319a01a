//! What controller a disk was made for, for controllers of the model `auto` (spec `domain.md` 3.15).

use esx_escape::DatastorePath;
use esx_vi_api::data::{
    FileQueryFlags, HostDatastoreBrowserSearchSpec, VmDiskFileQuery, VmDiskFileQueryFlags,
};
use esx_vi_api::methods::SearchDatastoreTask;
use esx_vi_api::{Object, Value};
use esx_vmx_domain::{ScsiModel, needs_scsi_models};
use virt_api::{Error, ErrorCode, ErrorDomain, Result};

use crate::connection::Session;
use crate::error::vi_error;

impl Session {
    /// The models behind a domain's disks, as far as it asks for them: one search for each disk.
    pub(super) async fn scsi_models(
        &self,
        domain: &virt_xml::Domain,
    ) -> Result<Vec<(String, ScsiModel)>> {
        let mut models = Vec::new();
        for source in needs_scsi_models(domain) {
            let model = self.scsi_model(&source).await?;
            models.push((source, model));
        }
        Ok(models)
    }

    async fn scsi_model(&self, source: &str) -> Result<ScsiModel> {
        let path: DatastorePath = source.parse().map_err(|e| {
            Error::invalid_arg(ErrorDomain::Esx, format!("the disk {source:?} is in no datastore"))
                .with_source(e)
        })?;
        let browser = self.browser(path.datastore()).await?;
        let details = VmDiskFileQueryFlags {
            capacity_kb: true,
            controller_type: Some(true),
            ..VmDiskFileQueryFlags::default()
        };
        let query = VmDiskFileQuery { details: Some(details), ..VmDiskFileQuery::default() };
        let directory = DatastorePath::new(path.datastore(), path.directory()).map_err(|e| {
            Error::internal(ErrorDomain::Esx, "a datastore has an odd name").with_source(e)
        })?;
        let operation = SearchDatastoreTask {
            datastore_path: directory.to_string(),
            search_spec: Some(HostDatastoreBrowserSearchSpec {
                query: vec![query.into()],
                details: Some(FileQueryFlags {
                    file_type: true,
                    file_size: true,
                    ..FileQueryFlags::default()
                }),
                match_pattern: vec![path.file_name().to_owned()],
                ..HostDatastoreBrowserSearchSpec::default()
            }),
        };
        let what = format!("cannot find out for which controller the disk {source:?} was made");
        let result = self.client.run_plain_task(&browser, &operation).await;
        let result = result.map_err(|e| vi_error(&what, e))?;
        let files = result.as_ref().and_then(Value::as_object).and_then(|found| found.get("file"));
        let disk = files
            .map_or(&[][..], Value::items)
            .iter()
            .filter_map(Value::as_object)
            .find(|file: &&Object| file.str("path") == Some(path.file_name()));
        let Some(disk) = disk else {
            let message = format!("{what}: it does not exist");
            return Err(Error::new(ErrorCode::NoStorageVol, ErrorDomain::Esx, message));
        };
        let kind = disk.str("controllerType").unwrap_or_default();
        ScsiModel::from_controller_type(kind).ok_or_else(|| {
            let message = format!("{what}: the host says {kind:?}");
            Error::new(ErrorCode::ConfigUnsupported, ErrorDomain::Esx, message)
        })
    }
}
