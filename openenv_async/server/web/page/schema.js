// Reduces a JSON Schema to the few shapes for which a form has inputs.

/** Follow `$ref` and merge `allOf`; keys beside them override theirs. */
export function resolve(schema, root, depth = 0) {
  if (schema === true || schema === undefined || schema === null || depth > 20) return {};
  let found = schema;
  if (typeof found.$ref === "string") {
    const { $ref, ...beside } = found;
    found = { ...resolve(lookup($ref, root), root, depth + 1), ...beside };
  }
  if (Array.isArray(found.allOf)) {
    const { allOf, ...beside } = found;
    const parts = allOf.map((part) => resolve(part, root, depth + 1));
    found = Object.assign({}, ...parts, beside);
    const properties = parts.map((part) => part.properties).filter(Boolean);
    if (properties.length) found.properties = Object.assign({}, ...properties, beside.properties);
  }
  return found;
}

function lookup(ref, root) {
  if (!ref.startsWith("#/")) return {};
  let place = root;
  for (const part of ref.slice(2).split("/")) {
    const name = part.replace(/~1/g, "/").replace(/~0/g, "~");
    place = Object.hasOwn(place ?? {}, name) ? place[name] : undefined;
  }
  return place ?? {};
}

const LONG = 300;
const LONG_NAMES = /(^|_)(code|text|prompt|script|source|body|content|query|patch|diff|essay|markdown)$/i;

/** Return what a schema is: `{kind, schema, nullable}`, for a union with `variants`. */
export function shape(given, root, name = "") {
  const schema = resolve(given, root);
  const options = (schema.anyOf ?? schema.oneOf)?.map((option) => resolve(option, root));
  if (options) return union(schema, options, root, name);
  if (Array.isArray(schema.type)) {
    const { type, ...rest } = schema;
    return union(rest, type.map((one) => ({ ...rest, type: one, default: undefined })), root, name);
  }
  return { kind: kindOf(schema, name), schema, nullable: false };
}

function union(schema, options, root, name) {
  const real = options.filter((option) => option.type !== "null" && option.const !== null);
  const nullable = real.length < options.length;
  const { anyOf, oneOf, ...beside } = schema;
  if (real.length === 0) return { kind: "const", schema: { ...beside, const: null }, nullable: false };
  if (real.length === 1) {
    const only = shape({ ...real[0], ...beside }, root, name);
    return { ...only, nullable: nullable || only.nullable };
  }
  if (real.every((option) => "const" in option)) {
    const values = real.map((option) => option.const);
    return { kind: "enum", schema: { ...beside, enum: values }, nullable };
  }
  return { kind: "union", schema: beside, variants: real, nullable };
}

function kindOf(schema, name) {
  if ("const" in schema) return "const";
  if (Array.isArray(schema.enum)) return schema.enum.length === 1 ? "const" : "enum";
  switch (schema.type) {
    case "boolean":
    case "integer":
    case "number":
      return schema.type;
    case "string":
      return textKind(schema, name);
    case "array":
      return schema.prefixItems ? "tuple" : "array";
    case "object":
      return objectKind(schema);
    default:
      return schema.properties ? "object" : "any";
  }
}

function textKind(schema, name) {
  if (schema.contentEncoding === "base64" || schema.format?.startsWith("base64")) return "bytes";
  if (schema.format === "binary") return "binary"; // pydantic's bytes, which JSON carries as their text
  const long = (schema.maxLength ?? 0) > LONG || schema.contentMediaType?.startsWith("text/") || schema.format === "textarea";
  return long || LONG_NAMES.test(name) ? "text" : "string";
}

function objectKind(schema) {
  if (Object.keys(schema.properties ?? {}).length > 0) return "object";
  const values = schema.additionalProperties;
  return values && typeof values === "object" ? "map" : "any";
}

/** The constant that a schema allows, if it is one. */
export const constant = (schema) => ("const" in schema ? schema.const : schema.enum?.[0]);

/** The name of one variant of a union. */
export function variantName(variant, key, index) {
  const tag = key && variant.properties?.[key];
  const said = tag ? constant(tag) : undefined;
  return String(said ?? variant.title ?? (typeof variant.type === "string" ? variant.type : undefined) ?? `Variant ${index + 1}`);
}

/** The property whose value distinguishes a union's variants, declared or found. */
export function discriminator(schema, variants) {
  if (schema.discriminator?.propertyName) return schema.discriminator.propertyName;
  const names = Object.keys(variants[0].properties ?? {});
  return names.find((name) => variants.every((one) => one.properties?.[name] && constant(one.properties[name]) !== undefined));
}

/** Whether a value might be what a schema means; looks one level deep. */
export function fits(value, given, root) {
  const { kind, schema, nullable } = shape(given, root);
  if (value === null) return nullable || (kind === "const" && constant(schema) === null);
  switch (kind) {
    case "const":
      return constant(schema) === value;
    case "enum":
      return schema.enum.includes(value);
    case "boolean":
      return typeof value === "boolean";
    case "integer":
      return typeof value === "bigint" || Number.isInteger(value);
    case "number":
      return typeof value === "number" || typeof value === "bigint";
    case "string":
    case "text":
    case "bytes":
    case "binary":
      return typeof value === "string";
    case "array":
    case "tuple":
      return Array.isArray(value);
    case "object":
      return isObject(value) && Object.entries(schema.properties).every(([name, property]) => {
        const fixed = constant(resolve(property, root));
        return fixed === undefined || value[name] === undefined || value[name] === fixed;
      }) && (schema.required ?? []).every((name) => name in value);
    case "map":
      return isObject(value);
    default:
      return true;
  }
}

export const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
