//! Files.

use super::*;

#[tokio::test]
async fn a_file_is_there_once_its_bytes_came_and_only_then() {
    let stage = Stage::start().await;
    let token = stage.installed("files:write").await["access_token"].as_str().unwrap().to_owned();
    let [begin, complete] =
        ["getUploadURLExternal", "completeUploadExternal"].map(|it| stage.slack(&format!("/api/files.{it}")));
    let (_, begun) = stage.form(&begin, &token, &[("filename", "a.txt"), ("length", "3")]).await;
    let url = stage.slack(begun["upload_url"].as_str().unwrap().strip_prefix("https://files.slack.com").unwrap());
    let files = json!([{ "id": begun["file_id"], "title": "A" }]).to_string();
    let (_, early) = stage.form(&complete, &token, &[("files", &files)]).await;
    assert_eq!(early["error"], "file_not_found");
    let form = [("content-type", "multipart/form-data; boundary=b")];
    for (headers, body, status) in [
        (&[][..], "four", 400),
        (&[], "one", 200),
        (&form, "--b\r\nContent-Disposition: form-data; name=\"filename\"\r\n\r\ntwo\r\n--b--\r\n", 200),
    ] {
        let sent = stage.send(Method::POST, &url, headers, body.to_owned()).await.unwrap();
        assert_eq!(sent.status(), status, "{body}");
    }
    let (_, done) = stage.form(&complete, &token, &[("files", &files)]).await;
    assert_eq!(done["files"], json!([{ "id": begun["file_id"], "name": "a.txt", "title": "A", "size": 3 }]));
}
