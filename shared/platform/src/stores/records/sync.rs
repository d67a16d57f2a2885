//! What syncs do with records: write pages, and delete what a full run did not see.

use aws_sdk_dynamodb::{
    operation::update_item::{UpdateItemError, builders::UpdateItemFluentBuilder},
    types::{AttributeValue, Update},
};
use domain::{
    Change, Version,
    sync::{
        record,
        stream::{Extent, Sweep},
    },
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;

use super::{Records, UpsertError, item_key};
use crate::{
    aws::AwsError,
    stores::item::{Item, conditional, n, s, text},
};

/// Writes at a time.
const CONCURRENCY: usize = 16;

impl Records {
    /// Brings the objects of a page up to date, each unless a newer state is stored. Repeating it changes nothing.
    ///
    /// A state that is refused as old still says that the object exists: a full run must not delete it. Returns the ids of the
    /// objects that are too large; the others are written.
    pub async fn put_page(
        &self,
        integration_id: &str,
        changes: &[Change],
        seen_at: Timestamp,
    ) -> Result<Vec<String>, AwsError> {
        let put = async |change: &Change| {
            let write = match self.upsert_from_sync(integration_id, change, seen_at) {
                Ok(write) => write,
                Err(UpsertError::TooLarge { .. }) => return Ok(Some(change.key().id().to_owned())),
                Err(UpsertError::Aws(error)) => return Err(error),
            };
            if !self.put(write.0).await? && !change.is_deleted() {
                self.confirm(integration_id, change.key(), seen_at).await?;
            }
            Ok(None)
        };
        let too_large = stream::iter(changes.iter().map(put)).buffer_unordered(CONCURRENCY);
        too_large.try_filter_map(|id| std::future::ready(Ok(id))).try_collect().await
    }

    /// Deletes the records of a stream that a sync did not see. `version` is what a list of [`Sweep::since`] is versioned by, so
    /// that a late event of an earlier time revives none. How many.
    pub async fn delete_unseen(
        &self,
        integration_id: &str,
        stream: &str,
        sweep: &Sweep,
        version: Version,
    ) -> Result<u64, AwsError> {
        let Sweep { since, of, except } = sweep;
        let since = *since;
        let prefix = record::prefix(stream, of.as_ref().map_or("", Extent::id));
        let is_swept = |item: &&Item| {
            let id = text(item, "record").ok().and_then(|key| key.split_once('#')).map_or("", |(_, id)| id);
            of.as_ref().is_none_or(|of| of.holds(id)) && !except.iter().any(|extent| extent.holds(id))
        };
        let mut swept = 0;
        let mut after = None;
        loop {
            let call = self
                .under(integration_id, &prefix)
                .filter_expression("seen_at < :since AND deleted = :false")
                .projection_expression("#record")
                .consistent_read(true)
                .expression_attribute_values(":since", n(since.as_millisecond()))
                .expression_attribute_values(":false", false_value())
                .set_exclusive_start_key(after);
            let output = call.send().await.map_err(|error| AwsError::new("dynamodb:Query", error))?;
            let bury = async |item: &Item| self.tombstone(integration_id, text(item, "record")?, since, version).await;
            let buried: Vec<_> = stream::iter(output.items().iter().filter(is_swept).map(bury))
                .buffer_unordered(CONCURRENCY)
                .try_collect()
                .await?;
            swept += buried.into_iter().map(u64::from).sum::<u64>();
            after = output.last_evaluated_key;
            if after.is_none() {
                return Ok(swept);
            }
        }
    }

    /// Deletes records of an integration, tombstones too, until none is left or `enough` says so. Whether none is left.
    pub async fn erase(&self, integration_id: &str, enough: impl Fn() -> bool) -> Result<bool, AwsError> {
        loop {
            let output = self.query(integration_id, None, None).await?;
            if output.items().is_empty() {
                return Ok(true);
            }
            let delete = async |item: &Item| {
                let key = item_key(integration_id, text(item, "record")?);
                let call = self.client.delete_item().table_name(&self.table).set_key(Some(key));
                call.send().await.map_err(|error| AwsError::new("dynamodb:DeleteItem", error)).map(|_| ())
            };
            stream::iter(output.items().iter().map(delete)).buffer_unordered(CONCURRENCY).try_collect::<()>().await?;
            if enough() {
                return Ok(false);
            }
        }
    }

    /// Whether it was written. A repeat by the SDK, after a lost reply, says no, and no harm is done: what is stored is the same.
    async fn put(&self, update: Update) -> Result<bool, AwsError> {
        match self.call(update).send().await {
            Ok(_) => Ok(true),
            Err(error)
                if error.as_service_error().is_some_and(UpdateItemError::is_conditional_check_failed_exception) =>
            {
                Ok(false)
            }
            Err(error) => Err(AwsError::new("dynamodb:UpdateItem", error)),
        }
    }

    fn call(&self, update: Update) -> UpdateItemFluentBuilder {
        self.client
            .update_item()
            .table_name(update.table_name)
            .set_key(Some(update.key))
            .update_expression(update.update_expression)
            .set_condition_expression(update.condition_expression)
            .set_expression_attribute_names(update.expression_attribute_names)
            .set_expression_attribute_values(update.expression_attribute_values)
    }

    async fn confirm(&self, integration_id: &str, record: &str, seen_at: Timestamp) -> Result<bool, AwsError> {
        let update = Update::builder()
            .table_name(&self.table)
            .set_key(Some(item_key(integration_id, record)))
            .update_expression("SET seen_at = :seen_at")
            .condition_expression("deleted = :false AND seen_at < :seen_at")
            .expression_attribute_values(":seen_at", n(seen_at.as_millisecond()))
            .expression_attribute_values(":false", false_value());
        self.put(update.build().map_err(|error| AwsError::unwritable("confirm", error))?).await
    }

    /// Leaves a tombstone, marked as swept: the provider did not say that it is gone, so a state of the same version revives it.
    async fn tombstone(
        &self,
        integration_id: &str,
        record: &str,
        since: Timestamp,
        version: Version,
    ) -> Result<bool, AwsError> {
        // Within one tick of the stream's clock what is stored can have the larger version, and keeps it.
        for (set, and) in [(", version = :version", "version < :version"), ("", "version >= :version")] {
            let update = Update::builder()
                .table_name(&self.table)
                .set_key(Some(item_key(integration_id, record)))
                .update_expression(format!(
                    "SET deleted = :true, swept = :true, updated_at = :updated_at, #data = :null{set}"
                ))
                .condition_expression(format!("seen_at < :since AND deleted = :false AND {and}"))
                .expression_attribute_names("#data", "data")
                .expression_attribute_values(":since", n(since.as_millisecond()))
                .expression_attribute_values(":updated_at", s(since.to_string()))
                .expression_attribute_values(":null", s("null"))
                .expression_attribute_values(":version", n(version.get()))
                .expression_attribute_values(":true", AttributeValue::Bool(true))
                .expression_attribute_values(":false", false_value());
            let call = self.call(update.build().map_err(|error| AwsError::unwritable("bury", error))?);
            if conditional(call).await?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

const fn false_value() -> AttributeValue {
    AttributeValue::Bool(false)
}
