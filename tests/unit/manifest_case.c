/* manifest_case: see manifest_case.h. */
/* SPDX-License-Identifier: MIT */
#include "tests/unit/manifest_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <cmocka.h>

#include "lib/buf.h"
#include "lib/err.h"
#include "lib/manifest.h"
#include "lib/mem.h"

int manifest_case_parse(const char *text, size_t len, struct manifest **ret,
			struct manifest_errors *errors)
{
	struct manifest_source src = {.path = MANIFEST_CASE_PATH, .text = text, .len = len};

	return manifest_parse(&(struct manifest_input){.sources = &src, .n = 1}, ret, errors);
}

static void show(struct buf *out, const struct manifest_errors *errors)
{
	for (size_t i = 0; i < errors->n; i++) {
		const struct err *e = errors->errs[i];

		buf_printf(out, "%u:%u: %s\n", e->line, e->column, e->msg);
		if (e->hint)
			buf_printf(out, "    %s\n", e->hint);
	}
	if (errors->more)
		buf_str(out, "more\n");
}

char *manifest_case_errors(const char *text, size_t len)
{
	struct manifest_errors errors = {0};
	struct manifest *m = NULL;
	struct buf out = {0};
	int r = manifest_case_parse(text, len, &m, &errors);

	assert_int_equal(r, errors.n ? -ERR_INVALID : 0);
	assert_int_equal(m == NULL, r < 0);
	show(&out, &errors);
	manifest_free(m);
	manifest_errors_done(&errors);
	return buf_take(&out);
}

char *manifest_case_warnings(const char *text, size_t len)
{
	struct manifest_errors errors = {0};
	struct manifest *m = NULL;
	struct buf out = {0};

	if (manifest_case_parse(text, len, &m, &errors) < 0) {
		buf_str(&out, "errors\n");
		show(&out, &errors);
	} else {
		show(&out, &m->warnings);
	}
	manifest_free(m);
	manifest_errors_done(&errors);
	return out.len ? buf_take(&out) : mem_strdup("");
}

struct manifest *manifest_case_good(const char *text)
{
	struct manifest_errors errors = {0};
	struct manifest *m = NULL;
	struct buf out = {0};

	manifest_case_parse(text, strlen(text), &m, &errors);
	show(&out, &errors);
	assert_string_equal(buf_cstr(&out), "");
	assert_non_null(m);
	buf_done(&out);
	return m;
}

struct manifest *manifest_case_service(const char *keys)
{
	_cleanup_free_ char *text =
		mem_printf("version: 1\nservices:\n  web:\n    command: [server]\n%s", keys);

	return manifest_case_good(text);
}
