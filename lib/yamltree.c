/*
 * yamltree: see yamltree.h. libyaml's events are folded into nodes of an arena; recursion follows
 * the nesting and is bounded by YAMLTREE_DEPTH_MAX. What libyaml does not say well (position of a
 * bad byte, tabs) is found or said here.
 */
/* SPDX-License-Identifier: MIT */
#include "lib/yamltree.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <yaml.h>

#include "lib/err.h"
#include "lib/manifest_errors.h"
#include "lib/mem.h"

#define CHUNK_SIZE 32768

struct chunk {
	struct chunk *next;
	size_t used, size;
	max_align_t data[];
};

struct anchor {
	const char *name;
	struct ynode *node;
	bool complete; /* false while its own content is read: an alias to it would be a cycle */
};

struct yamltree {
	struct chunk *chunks;
	struct ynode *root;
	unsigned nodes; /* read so far */
};

struct builder {
	struct yamltree *tree;
	yaml_parser_t parser;
	struct manifest_errors *errors;
	const char *file, *text, *end;
	struct anchor *anchors;
	size_t n_anchors, anchors_cap;
	bool compose; /* !reset and !override are known */
};

struct items { /* being collected; moved into the arena when complete */
	struct yitem *v;
	size_t n, cap;
};

static struct ynode *build(struct builder *b, const yaml_event_t *ev, unsigned depth);

static void *allocate(struct yamltree *t, size_t size)
{
	struct chunk *c = t->chunks;
	size_t need = (size + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);

	if (!c || c->size - c->used < need) {
		size_t room = need > CHUNK_SIZE ? need : CHUNK_SIZE;

		c = mem_alloc(sizeof(*c) + room);
		if (!c)
			return NULL;
		c->size = room;
		c->next = t->chunks;
		t->chunks = c;
	}
	c->used += need;
	return (char *)c->data + c->used - need;
}

static void *arena(struct builder *b, size_t size)
{
	void *p = allocate(b->tree, size);

	b->errors->nomem = b->errors->nomem || !p;
	return p;
}

static struct manifest_place place(const struct builder *b, const yaml_mark_t *mark)
{
	return (struct manifest_place){b->file, (unsigned)mark->line + 1,
				       (unsigned)mark->column + 1};
}

/* Adds an error at a mark; returns NULL, so `return fail(...)` ends the build. */
static void *fail(struct builder *b, const yaml_mark_t *mark, const char *hint, const char *what)
{
	struct manifest_place at = place(b, mark);

	manifest_errors_add(b->errors, &at, hint, "%s", what);
	return NULL;
}

size_t yamltree_utf8(const char *text, const char *end, unsigned *ret_code)
{
	static const unsigned smallest[] = {0, 0, 0x80, 0x800, 0x10000};
	const unsigned char *p = (const unsigned char *)text;
	size_t len = p[0] < 0x80 ? 1 : p[0] < 0xc0 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	unsigned code = p[0];

	if (len == 0 || p[0] >= 0xf8 || len > (size_t)(end - text))
		return 0;
	if (len > 1)
		code = p[0] & (0x7fU >> len);
	for (size_t i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (p[i] & 0x3f);
	}
	if (code < smallest[len] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
		return 0;
	*ret_code = code;
	return len;
}

size_t yamltree_break_len(const char *p, const char *end)
{
	size_t left = (size_t)(end - p);

	if (left >= 1 && p[0] == '\n')
		return 1;
	if (left >= 1 && p[0] == '\r')
		return left >= 2 && p[1] == '\n' ? 2 : 1;
	if (left >= 2 && memcmp(p, "\xc2\x85", 2) == 0)
		return 2;
	if (left >= 3 && (memcmp(p, "\xe2\x80\xa8", 3) == 0 || memcmp(p, "\xe2\x80\xa9", 3) == 0))
		return 3;
	return 0;
}

/* What libyaml's reader accepts; everything else is reported with its place. */
static bool is_printable(unsigned c)
{
	return c == '\t' || (c >= 0x20 && c < 0x7f) || c == 0x85 || (c >= 0xa0 && c < 0xfeff) ||
	       (c > 0xfeff && c < 0xfffe) || c >= 0x10000;
}

/* code: the code point, or the byte when it is not UTF-8. */
static void add_bad_character(struct builder *b, const yaml_mark_t *mark, unsigned code, bool utf8)
{
	struct manifest_place at = place(b, mark);

	if (!utf8)
		manifest_errors_add(b->errors, &at, "save the file as UTF-8",
				    "byte 0x%02x is not UTF-8", code);
	else if (code == 0xfeff)
		fail(b, mark, "save the file as UTF-8 without a byte-order mark",
		     "a byte-order mark is not allowed");
	else
		manifest_errors_add(b->errors, &at, NULL, "control character U+%04X is not allowed",
				    code);
}

/* A %TAG line at p: tags are refused anyway, and libyaml needs quadratic time for many of them. */
static bool is_tag_directive(const struct builder *b, const char *p)
{
	return b->end - p >= 4 && memcmp(p, "%TAG", 4) == 0;
}

/* The first byte that no YAML text may hold. 0 or -ERR_INVALID. */
static int check_text(struct builder *b)
{
	yaml_mark_t mark = {0, 0, 0};
	const char *p = b->text;
	unsigned code = 0;
	size_t len;

	while (p < b->end) {
		len = yamltree_break_len(p, b->end);
		if (len > 0) {
			mark.line++;
			mark.column = 0;
			p += len;
			continue;
		}
		len = yamltree_utf8(p, b->end, &code);
		if (len == 0 || !is_printable(code)) {
			add_bad_character(b, &mark, len ? code : (unsigned char)*p, len > 0);
			return -ERR_INVALID;
		}
		if (mark.column == 0 && is_tag_directive(b, p)) {
			fail(b, &mark, NULL, "tags (%TAG) are not supported");
			return -ERR_INVALID;
		}
		mark.column++;
		p += len;
	}
	return 0;
}

/* Texts of libyaml that can be said better. */
static const struct {
	const char *theirs, *ours, *hint;
	bool at_context; /* where the construct starts is the better place */
} sayings[] = {
	{"mapping values are not allowed in this context", "\": \" is not allowed here",
	 "put a value that contains \": \" in quotes, or check the indentation", false},
	{"could not find expected ':'", "a key without \": \" after it",
	 "write \"key: value\" with a space after the colon", true},
	{"did not find expected ',' or ']'", "this list is not closed, or lacks a \",\"",
	 "close it with \"]\"", true},
	{"did not find expected ',' or '}'", "this map is not closed, or lacks a \",\"",
	 "close it with \"}\"", true},
	{"found unknown escape character", "unknown escape after \"\\\"",
	 "in double quotes a backslash is written twice; or use single quotes", false},
	{"did not find expected node content", "expected a value here",
	 "check the brackets and quotes above it", false},
	{"did not find expected key", "expected a key here",
	 "check the indentation and the quotes of the line and of those above it", false},
	{"did not find expected '-' indicator",
	 "expected \"- \" here, as for the list's other items", "check the indentation", false},
	{"block sequence entries are not allowed in this context",
	 "a list item (\"- \") is not allowed here", "start the list on a line of its own", false},
	{"found unexpected end of stream", "these quotes are not closed", "close them", true},
	{"did not find expected alphabetic or numeric character",
	 "\"&\" and \"*\" must be followed by a name",
	 "put a value that starts with them in quotes", false},
};

/* "found character that cannot start any token": which one it is tells what to do. */
static void add_bad_start(struct builder *b, const yaml_mark_t *mark)
{
	struct manifest_place at = place(b, mark);
	unsigned line = 0, column = 0;
	const char *p = b->text;
	unsigned code = 0;
	size_t len;

	while (p < b->end && (line < mark->line || column < mark->column)) {
		len = yamltree_break_len(p, b->end);
		line += len > 0;
		column = len > 0 ? 0 : column + 1;
		p += len > 0 ? len : yamltree_utf8(p, b->end, &code);
	}
	if (p < b->end && *p == '\t')
		manifest_errors_add(b->errors, &at, "indent with spaces",
				    "a tab is not allowed here");
	else
		manifest_errors_add(b->errors, &at, "put the value in quotes",
				    "a value cannot start with \"%c\"", p < b->end ? *p : ' ');
}

static void add_syntax_error(struct builder *b)
{
	const yaml_parser_t *p = &b->parser;
	struct manifest_place at = place(b, &p->problem_mark);
	const char *problem = p->problem ? p->problem : "not valid YAML";

	if (p->error == YAML_MEMORY_ERROR) {
		b->errors->nomem = true;
		return;
	}
	if (strcmp(problem, "found character that cannot start any token") == 0) {
		add_bad_start(b, &p->problem_mark);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(sayings); i++) {
		if (strcmp(problem, sayings[i].theirs) == 0) {
			if (sayings[i].at_context && p->context)
				at = place(b, &p->context_mark);
			manifest_errors_add(b->errors, &at, sayings[i].hint, "%s", sayings[i].ours);
			return;
		}
	}
	if (p->context)
		manifest_errors_add(
			b->errors, &at, NULL, "%s %s that starts at line %zu, column %zu", problem,
			p->context, p->context_mark.line + 1, p->context_mark.column + 1);
	else
		manifest_errors_add(b->errors, &at, NULL, "%s", problem);
}

static bool next_event(struct builder *b, yaml_event_t *ev)
{
	if (yaml_parser_parse(&b->parser, ev))
		return true;
	add_syntax_error(b);
	return false;
}

static struct ynode *new_node(struct builder *b, enum ynode_kind kind, const yaml_mark_t *mark,
			      unsigned depth)
{
	struct ynode *node;

	if (depth > YAMLTREE_DEPTH_MAX)
		return fail(b, mark, NULL, "nested more than 32 levels deep");
	if (b->tree->nodes >= YAMLTREE_NODES_MAX)
		return fail(b, mark, "every key, value and copy of an alias counts",
			    "more than 10000 nodes");
	node = arena(b, sizeof(*node));
	if (!node)
		return NULL;
	b->tree->nodes++;
	*node = (struct ynode){.kind = kind,
			       .file = b->file,
			       .line = (unsigned)mark->line + 1,
			       .column = (unsigned)mark->column + 1};
	return node;
}

static bool push(struct builder *b, struct items *items, const struct ynode *key,
		 const struct ynode *value)
{
	if (mem_grow(&items->v, &items->cap, items->n + 1, sizeof(*items->v)) < 0) {
		b->errors->nomem = true;
		return false;
	}
	items->v[items->n++] = (struct yitem){key, value};
	return true;
}

static bool keep_items(struct builder *b, struct ynode *node, const struct items *items)
{
	node->n = items->n;
	if (items->n == 0)
		return true;
	node->items = arena(b, items->n * sizeof(*items->v));
	if (!node->items)
		return false;
	memcpy(node->items, items->v, items->n * sizeof(*items->v));
	return true;
}

/* Of a tag that is allowed; else an error was added. */
static bool read_tag(struct builder *b, const yaml_event_t *ev, const yaml_char_t *tag,
		     enum ynode_tag *ret)
{
	const char *name = tag ? (const char *)tag : YAML_STR_TAG;
	bool text = ev->type == YAML_SCALAR_EVENT && strcmp(name, YAML_STR_TAG) == 0;

	*ret = YNODE_PLAIN;
	if (!tag || text)
		return true;
	if (b->compose && strcmp(name, "!reset") == 0)
		*ret = YNODE_RESET;
	else if (b->compose && strcmp(name, "!override") == 0)
		*ret = YNODE_OVERRIDE;
	else
		fail(b, &ev->start_mark, "put a value that starts with \"!\" in quotes",
		     "tags (\"!...\") are not supported");
	return *ret != YNODE_PLAIN;
}

static struct ynode *build_scalar(struct builder *b, const yaml_event_t *ev, unsigned depth)
{
	const char *value = (const char *)ev->data.scalar.value;
	size_t len = ev->data.scalar.length;
	enum ynode_tag tag;
	struct ynode *node;
	char *text;

	if (!read_tag(b, ev, ev->data.scalar.tag, &tag))
		return NULL;
	if (memchr(value, '\0', len))
		return fail(b, &ev->start_mark, NULL, "a NUL character is not allowed in a value");
	node = new_node(b, YNODE_SCALAR, &ev->start_mark, depth);
	text = node ? arena(b, len + 1) : NULL;
	if (!text)
		return NULL;
	memcpy(text, value, len);
	text[len] = '\0';
	node->text = text;
	if (ev->start_mark.line == ev->end_mark.line)
		node->width = (unsigned)(ev->end_mark.column - ev->start_mark.column);
	node->tag = tag;
	node->quoted = (ev->data.scalar.tag && tag == YNODE_PLAIN) ||
		       ev->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
	return node;
}

static struct ynode *build_list(struct builder *b, struct ynode *node, unsigned depth)
{
	struct items items = {0};
	yaml_event_t ev;
	bool ok = false;

	while (next_event(b, &ev)) {
		const struct ynode *value = NULL;
		bool end = ev.type == YAML_SEQUENCE_END_EVENT;

		if (!end)
			value = build(b, &ev, depth + 1);
		yaml_event_delete(&ev);
		if (end)
			ok = keep_items(b, node, &items);
		if (end || !value || !push(b, &items, NULL, value))
			break;
	}
	mem_free(items.v);
	return ok ? node : NULL;
}

static bool has_key(const struct yitem *items, size_t n, const struct ynode *key)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(items[i].key->text, key->text) == 0)
			return true;
	return false;
}

/* Reports a key that is there already, naming the first place. */
static bool is_duplicate(struct builder *b, const struct items *items, const struct ynode *key)
{
	struct manifest_place at = {b->file, key->line, key->column};

	for (size_t i = 0; i < items->n; i++) {
		const struct ynode *first = items->v[i].key;

		if (strcmp(first->text, key->text) != 0)
			continue;
		manifest_errors_add(b->errors, &at, NULL,
				    "duplicate key \"%s\", first at line %u, column %u", key->text,
				    first->line, first->column);
		return true;
	}
	return false;
}

static bool merge_map(struct builder *b, struct items *items, const struct ynode *from)
{
	struct manifest_place at = {b->file, from->line, from->column};

	if (from->kind != YNODE_MAP) {
		manifest_errors_add(b->errors, &at, "write <<: *name, or <<: [*one, *two]",
				    "\"<<\" merges maps, this is %s", yamltree_kind_name(from));
		return false;
	}
	for (size_t i = 0; i < from->n; i++)
		if (!has_key(items->v, items->n, from->items[i].key) &&
		    !push(b, items, from->items[i].key, from->items[i].value))
			return false;
	return true;
}

/* The map's own keys win over merged ones, an earlier merged map over a later one. */
static bool merge(struct builder *b, struct items *items, const struct ynode *from)
{
	if (!from)
		return true;
	if (from->kind != YNODE_LIST)
		return merge_map(b, items, from);
	for (size_t i = 0; i < from->n; i++)
		if (!merge_map(b, items, from->items[i].value))
			return false;
	return true;
}

static struct ynode *build_key(struct builder *b, const yaml_event_t *ev, unsigned depth)
{
	if (ev->type != YAML_SCALAR_EVENT)
		return fail(b, &ev->start_mark, "put a key that starts with *, [ or { in quotes",
			    "a key must be plain text");
	if (ev->data.scalar.length == 0)
		return fail(b, &ev->start_mark, NULL, "a key is missing here");
	return build_scalar(b, ev, depth);
}

/* One key with its value. false: the build ends. */
static bool build_pair(struct builder *b, const yaml_event_t *key_ev, struct items *items,
		       const struct ynode **merged, unsigned depth)
{
	const struct ynode *key = build_key(b, key_ev, depth), *value;
	struct manifest_place at;
	yaml_event_t ev;

	if (!key || !next_event(b, &ev))
		return false;
	value = build(b, &ev, depth);
	yaml_event_delete(&ev);
	if (!value)
		return false;
	if (strcmp(key->text, "<<") == 0 && !key->quoted) {
		at = (struct manifest_place){b->file, key->line, key->column};
		if (*merged)
			manifest_errors_add(b->errors, &at, "write one <<: [*one, *two]",
					    "duplicate key \"<<\"");
		else
			*merged = value;
		return true;
	}
	return is_duplicate(b, items, key) || push(b, items, key, value);
}

static struct ynode *build_map(struct builder *b, struct ynode *node, unsigned depth)
{
	const struct ynode *merged = NULL;
	struct items items = {0};
	yaml_event_t ev;
	bool ok = false;

	while (next_event(b, &ev)) {
		bool end = ev.type == YAML_MAPPING_END_EVENT, more = false;

		if (end)
			ok = merge(b, &items, merged) && keep_items(b, node, &items);
		else
			more = build_pair(b, &ev, &items, &merged, depth + 1);
		yaml_event_delete(&ev);
		if (!more)
			break;
	}
	mem_free(items.v);
	return ok ? node : NULL;
}

static bool add_anchor(struct builder *b, const yaml_char_t *name, struct ynode *node,
		       size_t *ret_index)
{
	char *copy;

	*ret_index = SIZE_MAX;
	if (!name)
		return true;
	copy = arena(b, strlen((const char *)name) + 1);
	if (!copy ||
	    mem_grow(&b->anchors, &b->anchors_cap, b->n_anchors + 1, sizeof(*b->anchors)) < 0) {
		b->errors->nomem = true;
		return false;
	}
	memcpy(copy, name, strlen((const char *)name) + 1);
	*ret_index = b->n_anchors;
	b->anchors[b->n_anchors++] = (struct anchor){copy, node, false};
	return true;
}

/* A copy that stands at mark. */
static struct ynode *copy_node(struct builder *b, const struct ynode *from, const yaml_mark_t *mark,
			       unsigned depth)
{
	struct ynode *node = new_node(b, from->kind, mark, depth);

	if (!node)
		return NULL;
	node->quoted = from->quoted;
	node->tag = from->tag;
	node->text = from->text;
	node->origin_line = from->origin_line ? from->origin_line : from->line;
	node->items = from->n ? arena(b, from->n * sizeof(*node->items)) : NULL;
	if (from->n && !node->items)
		return NULL;
	for (; node->n < from->n; node->n++) {
		const struct yitem *item = &from->items[node->n];
		const struct ynode *key = NULL, *value;

		if (item->key) {
			key = copy_node(b, item->key, mark, depth + 1);
			if (!key)
				return NULL;
		}
		value = copy_node(b, item->value, mark, depth + 1);
		if (!value)
			return NULL;
		node->items[node->n] = (struct yitem){key, value};
	}
	return node;
}

static struct ynode *build_alias(struct builder *b, const yaml_event_t *ev, unsigned depth)
{
	const char *name = (const char *)ev->data.alias.anchor;
	struct manifest_place at = place(b, &ev->start_mark);

	for (size_t i = b->n_anchors; i-- > 0;) { /* the latest one counts */
		const struct anchor *a = &b->anchors[i];

		if (strcmp(a->name, name) != 0)
			continue;
		if (a->complete)
			return copy_node(b, a->node, &ev->start_mark, depth);
		manifest_errors_add(b->errors, &at, NULL,
				    "alias \"*%s\" stands inside its own anchor", name);
		return NULL;
	}
	manifest_errors_add(b->errors, &at, "put a value that starts with * in quotes",
			    "alias \"*%s\" has no anchor \"&%s\" above it", name, name);
	return NULL;
}

/* The node that ev begins; NULL when an error was added. ev stays the caller's. */
static struct ynode *build(struct builder *b, const yaml_event_t *ev, unsigned depth)
{
	bool list = ev->type == YAML_SEQUENCE_START_EVENT;
	const yaml_char_t *name, *tag;
	enum ynode_tag meaning;
	struct ynode *node;
	size_t index;

	if (ev->type == YAML_ALIAS_EVENT)
		return build_alias(b, ev, depth);
	if (ev->type == YAML_SCALAR_EVENT) {
		node = build_scalar(b, ev, depth);
		if (!node || !add_anchor(b, ev->data.scalar.anchor, node, &index))
			return NULL;
	} else {
		tag = list ? ev->data.sequence_start.tag : ev->data.mapping_start.tag;
		name = list ? ev->data.sequence_start.anchor : ev->data.mapping_start.anchor;
		if (!read_tag(b, ev, tag, &meaning))
			return NULL;
		node = new_node(b, list ? YNODE_LIST : YNODE_MAP, &ev->start_mark, depth);
		if (!node || !add_anchor(b, name, node, &index))
			return NULL;
		node->tag = meaning;
		node = list ? build_list(b, node, depth) : build_map(b, node, depth);
	}
	if (node && index != SIZE_MAX)
		b->anchors[index].complete = true;
	return node;
}

/* Stream and document events around the one root node. */
static struct ynode *build_document(struct builder *b)
{
	static const yaml_mark_t start = {0, 0, 0};
	struct ynode *root = NULL;
	bool more = true, bad = false;
	yaml_event_t ev;

	while (more && !bad && next_event(b, &ev)) {
		if (ev.type == YAML_DOCUMENT_START_EVENT && root) {
			fail(b, &ev.start_mark, "put it into a file of its own",
			     "a second document starts here");
			bad = true;
		} else if (ev.type == YAML_STREAM_END_EVENT) {
			more = false;
		} else if (ev.type != YAML_STREAM_START_EVENT &&
			   ev.type != YAML_DOCUMENT_START_EVENT &&
			   ev.type != YAML_DOCUMENT_END_EVENT) {
			root = build(b, &ev, 1);
			bad = root == NULL;
		}
		yaml_event_delete(&ev);
	}
	if (more)
		return NULL;
	return root ? root
		    : fail(b, &start, b->compose ? NULL : "a manifest begins with \"version: 1\"",
			   "the file is empty");
}

static void run_parser(struct builder *b)
{
	if (!yaml_parser_initialize(&b->parser)) {
		b->errors->nomem = true;
		return;
	}
	yaml_parser_set_encoding(&b->parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&b->parser, (const unsigned char *)b->text,
				     (size_t)(b->end - b->text));
	b->tree->root = build_document(b);
	yaml_parser_delete(&b->parser);
}

static int parse(struct builder *b, struct yamltree **ret)
{
	static const yaml_mark_t start = {0, 0, 0};
	struct manifest_errors *errors = b->errors;

	b->tree = mem_alloc(sizeof(*b->tree));
	if (!b->tree) {
		errors->nomem = true;
		return -ERR_NOMEM;
	}
	if (b->end - b->text > YAMLTREE_BYTES_MAX)
		fail(b, &start, NULL, "the file is larger than 1 MiB");
	else if (check_text(b) == 0)
		run_parser(b);
	mem_free(b->anchors);
	if (b->tree->root) {
		*ret = b->tree;
		return 0;
	}
	yamltree_free(b->tree);
	return errors->nomem ? -ERR_NOMEM : -ERR_INVALID;
}

int yamltree_parse(const char *file, const char *text, size_t len, struct yamltree **ret,
		   struct manifest_errors *errors)
{
	struct builder b = {.errors = errors, .file = file, .text = text, .end = text + len};

	return parse(&b, ret);
}

int yamltree_parse_compose(const char *file, const char *text, size_t len, struct yamltree **ret,
			   struct manifest_errors *errors)
{
	struct builder b = {
		.errors = errors, .file = file, .text = text, .end = text + len, .compose = true};

	return parse(&b, ret);
}

void yamltree_free(struct yamltree *t)
{
	while (t && t->chunks) {
		struct chunk *c = t->chunks;

		t->chunks = c->next;
		mem_free(c);
	}
	mem_free(t);
}

const struct ynode *yamltree_root(const struct yamltree *t)
{
	return t->root;
}

unsigned yamltree_nodes(const struct yamltree *t)
{
	return t->nodes;
}

/* node is one of the tree's own, which are not const where they are made. */
static void mark_default(const struct ynode *node)
{
	((struct ynode *)(uintptr_t)node)->is_default = true;
	for (size_t i = 0; i < node->n; i++) {
		if (node->items[i].key)
			mark_default(node->items[i].key);
		mark_default(node->items[i].value);
	}
}

void yamltree_mark_default(struct yamltree *t, const char *key)
{
	const struct ynode *node = yamltree_get(t->root, key);

	if (node)
		mark_default(node);
}

struct yamltree *yamltree_new(void)
{
	return mem_alloc(sizeof(struct yamltree));
}

struct ynode *yamltree_new_map(struct yamltree *t, const struct ynode *like, size_t room)
{
	struct ynode *node = allocate(t, sizeof(*node));

	if (!node)
		return NULL;
	*node = (struct ynode){.kind = YNODE_MAP,
			       .is_default = like->is_default,
			       .file = like->file,
			       .line = like->line,
			       .column = like->column,
			       .origin_line = like->origin_line};
	node->items = room ? allocate(t, room * sizeof(*node->items)) : NULL;
	return room && !node->items ? NULL : node;
}

struct ynode *yamltree_new_text(struct yamltree *t, const struct ynode *like, const char *text)
{
	struct ynode *node = yamltree_new_map(t, like, 0);
	char *copy = allocate(t, strlen(text) + 1);

	if (!node || !copy)
		return NULL;
	memcpy(copy, text, strlen(text) + 1);
	node->kind = YNODE_SCALAR;
	node->text = copy;
	return node;
}

void yamltree_set_root(struct yamltree *t, struct ynode *root)
{
	t->root = root;
}

const struct ynode *yamltree_get(const struct ynode *node, const char *key)
{
	for (size_t i = 0; node && node->kind == YNODE_MAP && i < node->n; i++)
		if (strcmp(node->items[i].key->text, key) == 0)
			return node->items[i].value;
	return NULL;
}

bool yamltree_is_null(const struct ynode *node)
{
	static const char *const names[] = {"", "~", "null", "Null", "NULL"};

	for (size_t i = 0; node->kind == YNODE_SCALAR && !node->quoted && i < ARRAY_SIZE(names);
	     i++)
		if (strcmp(node->text, names[i]) == 0)
			return true;
	return false;
}

const char *yamltree_kind_name(const struct ynode *node)
{
	if (node->kind != YNODE_SCALAR)
		return node->kind == YNODE_MAP ? "a map" : "a list";
	return yamltree_is_null(node) ? "nothing" : "text";
}
