/*
 * schema_json: the JSON Schema (draft-07, which editors' yaml-language-server knows best) of a
 * manifest, from the rows of schema_table.c. The file schema/aictl-manifest.schema.json is its output,
 * kept in the tree for editors and compared with it by the tests.
 *
 * A schema sees one file. What lies between files or keys it cannot say: ranges of durations, a
 * port used twice, a grace period, references in ${...}, whether a file is there.
 * Required keys are asked for only in a file without `defaults`, which may give them; only beside
 * them null is allowed, which takes such a key away from a service.
 *
 * An overlay, the second -f and later ones, is another kind of file: a service in it needs no key,
 * and null deletes. SCHEMA_JSON_OVERLAY makes the schema of those.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LIB_SCHEMA_JSON_H
#define AICTL_LIB_SCHEMA_JSON_H

struct jsonw;

enum schema_json_kind { SCHEMA_JSON_MANIFEST, SCHEMA_JSON_OVERLAY };

/* One JSON object; out of memory is the buffer's sticky failure. */
void schema_json_write(enum schema_json_kind kind, struct jsonw *w);

#endif
