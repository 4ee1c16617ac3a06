//! The API's reference as a page of this site, made from the OpenAPI document.

use super::document::{self, DOCUMENT};
use super::problem::CODES;
use crate::page::render;
use askama::Template;
use axum::Router;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::Value;

struct Parameter {
    name: String,
    place: String,
    kind: String,
    about: String,
}

struct Outcome {
    status: String,
    types: String,
    shape: Option<String>,
    about: String,
}

struct Resource {
    id: String,
    path: String,
    about: Vec<String>,
    parameters: Vec<Parameter>,
    outcomes: Vec<Outcome>,
}

struct Group {
    name: String,
    about: String,
    resources: Vec<Resource>,
}

struct Field {
    name: String,
    kind: String,
    about: String,
}

struct Shape {
    name: String,
    about: String,
    fields: Vec<Field>,
}

#[derive(Template)]
#[template(path = "api.html")]
struct Reference {
    about: String,
    groups: Vec<Group>,
    common: Vec<Outcome>,
    shapes: Vec<Shape>,
    codes: &'static [(&'static str, &'static str)],
}

/// The reference and the document.
pub(super) fn router() -> Router {
    Router::new().route("/api", get(page)).route("/openapi.json", get(openapi))
}

async fn openapi() -> Response {
    let headers = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "public, max-age=3600")];
    (headers, document::text()).into_response()
}

async fn page() -> Response {
    let document = &serde_json::to_value(&*DOCUMENT).unwrap_or_default();
    let mut common = Vec::new();
    let groups = list(at(document, "/tags")).map(|tag| Group {
        name: text(at(tag, "/name")),
        about: text(at(tag, "/description")),
        resources: resources(document, &text(at(tag, "/name")), &mut common),
    });
    let groups = groups.collect();
    let shapes = fields_of(at(document, "/components/schemas")).map(|(name, schema)| shape(name, schema));
    render(&Reference {
        about: text(at(document, "/info/description")),
        groups,
        common,
        shapes: shapes.collect(),
        codes: CODES,
    })
}

/// A part of a document; null if it is not there.
fn at<'a>(value: &'a Value, path: &str) -> &'a Value {
    value.pointer(path).unwrap_or(&Value::Null)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn fields_of(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

/// The resources of a group. What every one of them may answer is told once.
fn resources(document: &Value, group: &str, common: &mut Vec<Outcome>) -> Vec<Resource> {
    let operations = fields_of(at(document, "/paths")).map(|(path, item)| (path, at(item, "/get")));
    let of_group = operations.filter(|(_, get)| list(at(get, "/tags")).any(|tag| tag == group));
    let resource = |(path, get): (&String, &Value)| {
        let (shared, own): (Vec<_>, Vec<_>) =
            fields_of(at(get, "/responses")).partition(|(status, _)| document::is_common(status));
        let outcomes = |found: Vec<(&String, &Value)>| found.into_iter().map(outcome).collect();
        if common.is_empty() {
            *common = outcomes(shared);
        }
        let parameters = list(at(get, "/parameters")).map(|parameter| Parameter {
            name: text(at(parameter, "/name")),
            place: text(at(parameter, "/in")),
            kind: kind(at(parameter, "/schema")),
            about: text(at(parameter, "/description")),
        });
        let about = format!("{}\n\n{}", text(at(get, "/summary")), text(at(get, "/description")));
        Resource {
            id: text(at(get, "/operationId")),
            path: path.clone(),
            about: about.split("\n\n").filter(|part| !part.is_empty()).map(str::to_owned).collect(),
            parameters: parameters.collect(),
            outcomes: outcomes(own),
        }
    };
    of_group.map(resource).collect()
}

fn outcome((status, response): (&String, &Value)) -> Outcome {
    let types: Vec<_> = fields_of(at(response, "/content")).map(|(kind, _)| kind.as_str()).collect();
    let shape = fields_of(at(response, "/content")).find_map(|(_, content)| referred(at(content, "/schema")));
    Outcome {
        status: status.clone(),
        types: types.join(", "),
        shape,
        about: text(at(response, "/description")),
    }
}

/// The name of the schema that is referred to.
fn referred(schema: &Value) -> Option<String> {
    at(schema, "/$ref").as_str()?.rsplit('/').next().map(str::to_owned)
}

fn shape(name: &str, schema: &Value) -> Shape {
    let mut fields = Vec::new();
    gather(schema, &mut fields);
    Shape { name: name.to_owned(), about: text(at(schema, "/description")), fields }
}

/// The fields of a schema, of the parts it is put together from, and of its variants.
fn gather(schema: &Value, fields: &mut Vec<Field>) {
    for (name, field) in fields_of(at(schema, "/properties")) {
        fields.push(Field { name: name.clone(), kind: kind(field), about: text(at(field, "/description")) });
    }
    for part in list(at(schema, "/allOf")).chain(list(at(schema, "/oneOf"))) {
        if let Some(name) = referred(part) {
            fields.push(Field { name: "…".into(), kind: name, about: text(at(part, "/description")) });
        }
        gather(part, fields);
    }
    for value in list(at(schema, "/enum")) {
        fields.push(Field { name: String::new(), kind: format!("{value}"), about: String::new() });
    }
}

/// A type in words.
fn kind(schema: &Value) -> String {
    if let Some(name) = referred(schema) {
        return name;
    }
    let either: Vec<_> = list(at(schema, "/oneOf")).chain(list(at(schema, "/anyOf"))).map(kind).collect();
    if !either.is_empty() {
        return either.join(" or ");
    }
    let values: Vec<_> = list(at(schema, "/enum")).map(text).collect();
    if !values.is_empty() {
        return values.join(" or ");
    }
    match at(schema, "/type") {
        Value::String(name) if name == "array" => format!("list of {}", kind(at(schema, "/items"))),
        Value::String(name) => name.clone(),
        Value::Array(names) => {
            let names: Vec<_> = names.iter().map(text).collect();
            names.join(" or ")
        }
        _ => "any".into(),
    }
}
