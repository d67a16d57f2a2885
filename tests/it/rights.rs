//! What the gateway lets functions do: template.yaml's roles against the calls that functions make.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use local_aws::{
    ACCOUNT,
    Service::{self, Dynamodb, Events, Kms, Secretsmanager, Sqs},
    authorise::{Right, needed},
};
use local_cli::rights::OTHER_KEYS;
use local_runtime::template::Template;
use serde_json::{Value, json};
use tests::template;

fn with_other_keys() -> Template {
    template("http://aws", &OTHER_KEYS)
}

fn needed_by(template: &Template, service: Service, operation: &str, body: &Value) -> Vec<Right> {
    let [(_, given), _] = OTHER_KEYS;
    let keys = [("0123", &*template.resources.keys[0].arn), ("4567", given)];
    let keys = keys.map(|(id, arn)| (id.to_owned(), arn.to_owned())).into();
    needed(&template.resources, &keys, service, operation, body)
}

#[test]
fn a_function_may_do_what_its_role_says_and_nothing_else() {
    let queue = |name: &str| json!({ "QueueUrl": format!("http://aws/{ACCOUNT}/intertie-{name}") });
    let table = |name: &str| json!({ "TableName": format!("intertie-{name}") });
    let write = |name: &str| json!({ "TransactItems": [{ "Update": { "TableName": format!("intertie-{name}") } }] });
    let index = json!({ "TableName": "intertie-integrations", "IndexName": "by_account" });
    let keys = |name: &str| json!({ "RequestItems": { format!("intertie-{name}"): { "Keys": [] } } });
    let by_day = json!({ "TableName": "intertie-idempotency", "IndexName": "by_day" });
    let bus = |name: &str| json!({ "Entries": [{ "EventBusName": name }] });
    let secret = |name: &str| json!({ "SecretId": format!("intertie/{name}") });
    let wrapped = |purpose: &str| json!({ "EncryptionContext": { "app": "intertie", "purpose": purpose } });
    let fresh = |purpose: &str| json!({ "KeyId": "alias/intertie", "EncryptionContext": { "app": "intertie", "purpose": purpose } });
    let template = with_other_keys();
    for (allowed, function, service, operation, body) in [
        (true, "webhook-ingest", Sqs, "SendMessage", queue("webhooks")),
        (false, "webhook-ingest", Sqs, "SendMessage", queue("syncs")),
        (false, "webhook-ingest", Sqs, "ReceiveMessage", queue("webhooks")),
        (true, "webhook-ingest", Secretsmanager, "GetSecretValue", secret("stripe")),
        (false, "webhook-ingest", Secretsmanager, "GetSecretValue", secret("session")),
        (false, "webhook-ingest", Dynamodb, "GetItem", table("records")),
        (true, "webhook-process", Dynamodb, "TransactWriteItems", write("records")),
        (false, "webhook-process", Dynamodb, "TransactWriteItems", write("credentials")),
        (true, "webhook-process", Dynamodb, "Query", index.clone()),
        (false, "webhook-process", Dynamodb, "Query", table("integrations")),
        (true, "webhook-process", Sqs, "DeleteMessageBatch", queue("webhooks")),
        (true, "webhook-process", Events, "PutEvents", bus("intertie")),
        (false, "webhook-process", Events, "PutEvents", bus("default")),
        (false, "webhook-process", Events, "PutEvents", json!({ "Entries": [{}] })),
        (false, "integrations-api", Dynamodb, "Query", table("credentials")),
        (false, "integrations-api", Dynamodb, "BatchGetItem", keys("idempotency")),
        (false, "integrations-api", Dynamodb, "Query", by_day.clone()),
        (true, "operator-api", Dynamodb, "BatchGetItem", keys("idempotency")),
        (true, "operator-api", Dynamodb, "Query", by_day),
        (false, "operator-api", Dynamodb, "UpdateItem", table("idempotency")),
        (false, "operator-api", Dynamodb, "Query", table("credentials")),
        (false, "operator-api", Sqs, "ReceiveMessage", queue("webhooks-dead")),
        (false, "operator-api", Kms, "Decrypt", wrapped("credential")),
        (false, "operator-api", Kms, "Decrypt", wrapped("webhook_secret")),
        (true, "operator-api", Kms, "Decrypt", wrapped("delivery_body")),
        (false, "operator-api", Kms, "GenerateDataKey", fresh("delivery_body")),
        (true, "operator-api", Sqs, "SendMessage", queue("webhooks")),
        (false, "operator-api", Sqs, "ReceiveMessage", queue("webhooks")),
        (true, "webhook-process", Kms, "GenerateDataKey", fresh("delivery_body")),
        (false, "webhook-process", Kms, "GenerateDataKey", fresh("credential")),
        (false, "webhook-process", Kms, "Decrypt", wrapped("delivery_body")),
        (false, "integrations-api", Kms, "Decrypt", wrapped("delivery_body")),
        (false, "integrations-api", Dynamodb, "Query", table("delivery-bodies")),
        (false, "integrations-api", Dynamodb, "Query", table("syncs")),
        (true, "token-refresh", Kms, "Decrypt", wrapped("credential")),
        (false, "token-refresh", Kms, "Decrypt", wrapped("webhook_secret")),
        (false, "token-refresh", Kms, "Decrypt", json!({})),
        (false, "token-refresh", Kms, "GenerateDataKey", fresh("credential")),
        (true, "oauth-callback", Kms, "GenerateDataKey", fresh("credential")),
        (true, "oauth-callback", Kms, "GenerateDataKey", fresh("webhook_secret")),
        (false, "oauth-callback", Kms, "GenerateDataKey", fresh("other")),
        (false, "integrations-api", Kms, "Decrypt", wrapped("credential")),
        (true, "webhook-ingest", Kms, "Decrypt", wrapped("webhook_secret")),
        (false, "webhook-ingest", Kms, "Decrypt", wrapped("credential")),
        (false, "webhook-process", Kms, "Decrypt", wrapped("credential")),
        (false, "sync-scheduler", Kms, "Decrypt", wrapped("credential")),
        (false, "sync-scheduler", Dynamodb, "GetItem", table("credentials")),
    ] {
        let function = template.functions.iter().find(|it| it.binary == function).unwrap();
        let rights = needed_by(&template, service, operation, &body);
        let lacking: Vec<_> = rights.iter().filter(|right| !right.is_granted(&function.statements)).collect();
        assert_eq!(lacking.is_empty(), allowed, "{}: {lacking:?}", function.binary);
    }
}

#[test]
fn a_ciphertext_is_of_the_key_whose_id_it_begins_with() {
    let template = with_other_keys();
    let [(_, given), _] = OTHER_KEYS;
    let own = template.resources.keys[0].arn.as_str();
    for (blob, key) in [("0123 and more", own), ("4567", given), ("89", own), ("", own)] {
        let body = json!({ "CiphertextBlob": STANDARD.encode(blob), "DestinationKeyId": "alias/intertie" });
        let keys: Vec<_> = needed_by(&template, Kms, "ReEncrypt", &body).into_iter().map(|it| it.resource).collect();
        assert_eq!(keys, [key, given], "{blob}");
        assert_eq!(needed_by(&template, Kms, "Decrypt", &body)[0].resource, key, "{blob}");
    }
}
