//! The stream of the records table, as a consumer reads it.
//!
//! The AWS SDK for it is no dependency of the workspace, so the calls are made by hand.

use http::Method;
use local_aws::{REGION, clients::DEVELOPER_KEY};
use local_base::{terminal::Failed, web::Web};
use serde_json::{Value, json};

use super::workspace::Workspace;

/// A place in each shard.
pub(super) struct Feed(Vec<String>);

impl Feed {
    /// The place behind all that has been written.
    pub(super) async fn of(workspace: &Workspace) -> Result<Self, Failed> {
        let described = workspace.stack.clients.dynamodb.describe_table().table_name(workspace.stack.table("records"));
        let described = described.send().await.map_err(Failed::from)?;
        let stream = described.table().and_then(|table| table.latest_stream_arn());
        let stream = stream.ok_or_else(|| Failed("the records table has no stream".into()))?;
        let described = call(workspace, "DescribeStream", &json!({ "StreamArn": stream })).await?;
        let mut places = Vec::new();
        for shard in described["StreamDescription"]["Shards"].as_array().into_iter().flatten() {
            let from = json!({ "StreamArn": stream, "ShardId": shard["ShardId"], "ShardIteratorType": "LATEST" });
            let place = call(workspace, "GetShardIterator", &from).await?;
            places.extend(place["ShardIterator"].as_str().map(str::to_owned));
        }
        if places.is_empty() {
            return Err(Failed("the stream of the records table has no shard".into()));
        }
        Ok(Self(places))
    }

    /// How many records came since.
    pub(super) async fn read(self, workspace: &Workspace) -> Result<u64, Failed> {
        let mut count = 0;
        for place in self.0 {
            let mut place = Value::from(place);
            while place.is_string() {
                let page = call(workspace, "GetRecords", &json!({ "ShardIterator": place })).await?;
                let records = page["Records"].as_array().map_or(0, Vec::len);
                count += u64::try_from(records).map_err(Failed::from)?;
                // An open shard has no end.
                place = if records == 0 { Value::Null } else { page["NextShardIterator"].clone() };
            }
        }
        Ok(count)
    }
}

async fn call(workspace: &Workspace, operation: &str, body: &Value) -> Result<Value, Failed> {
    let target = format!("DynamoDBStreams_20120810.{operation}");
    let scope = format!("AWS4-HMAC-SHA256 Credential={DEVELOPER_KEY}/20261130/{REGION}/dynamodb/aws4_request");
    let signed = format!("{scope}, SignedHeaders=host;x-amz-date, Signature=0");
    let headers = [
        ("content-type", "application/x-amz-json-1.0"),
        ("x-amz-target", &*target),
        ("x-amz-date", "20261130T000000Z"),
        ("authorization", &*signed),
    ];
    let answer = Web::new().call(Method::POST, &workspace.stack.aws_url, &headers, body.to_string()).await;
    let answer = answer.map_err(Failed::from)?;
    if !answer.status().is_success() {
        return Err(Failed(format!("{operation} answered {}", String::from_utf8_lossy(answer.body()))));
    }
    serde_json::from_slice(answer.body()).map_err(Failed::from)
}
