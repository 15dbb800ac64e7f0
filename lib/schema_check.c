/* schema_check: see schema_check.h. */
/* SPDX-License-Identifier: MIT */
#include "lib/schema_check.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <regex.h>
#include <string.h>
#include <strings.h>

#include "lib/mem.h"
#include "lib/parse.h"
#include "lib/schema.h"
#include "lib/tz.h"

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
#define CPUSET_MAX 255 /* what fits into a packet to aictld */

const char *schema_check_label(const char *text)
{
	return schema_is_label(text)
		       ? NULL
		       : "must be 1 to 63 of a-z, 0-9 and \"-\", without \"-\" at either end";
}

const char *schema_check_given(const char *text)
{
	return text[0] ? NULL : "must not be empty";
}

static bool is_account(const char *text)
{
	return text[0] && text[0] != '-' && strlen(text) <= 255 && !strpbrk(text, ":/ \t\n") &&
	       !strstr(text, "${");
}

/* Of a container it may be "user:group". */
const char *schema_check_user(const char *text)
{
	size_t n = strcspn(text, ":");
	bool good = n > 0 && text[0] != '-' && n <= 255 && !strpbrk(text, "/ \t\n") &&
		    (!text[n] || is_account(text + n + 1));

	return good ? NULL : "must be the name or number of a user";
}

const char *schema_check_group(const char *text)
{
	return is_account(text) ? NULL : "must be the name or number of a group";
}

/* A variable's name. */
const char *schema_check_variable(const char *name)
{
	const char *p = name;

	if (strcmp(name, "PORT") == 0 || strncmp(name, "AICTL_", strlen("AICTL_")) == 0)
		return "is set by aictl itself";
	if (isdigit((unsigned char)*p))
		return "is not a variable's name: it starts with a digit";
	if (*p == '.' || *p == '-')
		return "is not a variable's name: it starts with a letter or \"_\"";
	while (*p && (strchr("_.-", *p) || isalnum((unsigned char)*p)))
		p++;
	return *p ? "is not a variable's name: letters, digits, \"_\", \".\" and \"-\" make one"
		  : NULL;
}

/* A name in ports: a label that cannot be taken for a number. */
const char *schema_check_port(const char *text)
{
	if (schema_is_label(text) && text[strspn(text, "0123456789-")])
		return NULL;
	return "is not a port's name: 1 to 63 of a-z, 0-9 and \"-\" with a letter among them, "
	       "without \"-\" at either end, make one";
}

const char *schema_check_service_name(const char *text)
{
	return schema_is_label(text) ? NULL : "is not a service's name";
}

/* A secret's name is that of its file. */
const char *schema_check_secret_name(const char *text)
{
	size_t n = strspn(text, LETTERS "._-");

	if (n > 0 && n <= 63 && !text[n] && text[0] != '.' && text[0] != '-')
		return NULL;
	return "is not a secret's name: it becomes a file's, of 1 to 63 letters, digits, \".\", "
	       "\"_\" and \"-\", and starts with a letter or digit";
}

/* "team", "example.org/team": as Kubernetes has them. */
const char *schema_check_label_key(const char *text)
{
	const char *slash = strchr(text, '/'), *name = slash ? slash + 1 : text;
	size_t prefix = slash ? (size_t)(slash - text) : 0, n = strspn(name, LETTERS "._-");

	if (n > 0 && n <= 63 && !name[n] && !strchr("._-", name[0]) &&
	    !strchr("._-", name[n - 1]) &&
	    (!slash || (prefix > 0 && prefix <= 253 && strspn(text, LETTERS ".-") == prefix)))
		return NULL;
	return "is not a label's key: up to 63 letters, digits, \".\", \"_\" and \"-\" make one, "
	       "after a domain and \"/\" if you like";
}

const char *schema_check_body(const char *text)
{
	return strlen(text) > 65536 ? "is longer than 64 KiB" : NULL;
}

const char *schema_check_url_path(const char *text)
{
	if (text[0] != '/')
		return "must start with \"/\"";
	for (const char *p = text; *p; p++)
		if (*p <= ' ' || *p >= 0x7f || *p == '#')
			return "must not hold spaces, control characters, \"#\" or letters beyond ASCII";
	return strlen(text) > 2048 ? "must not be longer than 2048 characters" : NULL;
}

/* A header field's name; those that frame the message are not the user's. */
const char *schema_check_field(const char *text)
{
	static const char *const ours[] = {
		"Connection", "Content-Length", "Expect", "Transfer-Encoding", "TE", "Upgrade"};

	for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
		if (strcasecmp(text, ours[i]) == 0)
			return "is set by aictl itself";
	if (text[0] && !text[strspn(text, LETTERS "!#$%&'*+-.^_`|~")] && strlen(text) <= 255)
		return NULL;
	return "is not the name of a header field";
}

const char *schema_check_affinity(const char *text)
{
	if (text[0] && !text[strspn(text, LETTERS "!#$%&'*+-.^_`|~")] && strlen(text) <= 63)
		return NULL;
	return "is not the name of a header field";
}

const char *schema_check_grpc_service(const char *text)
{
	return strlen(text) <= 255 ? NULL : "is longer than 255 bytes";
}

const char *schema_check_pattern(const char *text)
{
	regex_t re;

	if (!text[0])
		return "must not be empty";
	if (strlen(text) > 1024)
		return "is longer than 1024 bytes";
	if (regcomp(&re, text, REG_EXTENDED | REG_NOSUB) != 0)
		return "is not a POSIX extended regular expression";
	regfree(&re);
	return NULL;
}

const char *schema_check_metric(const char *text)
{
	if (text[0] && !text[strspn(text, LETTERS "_:")] && !strchr("0123456789", text[0]) &&
	    strlen(text) <= 255)
		return NULL;
	return "is not a metric's name: letters, digits, \"_\" and \":\" make one, without labels";
}

const char *schema_check_statuses(const char *text)
{
	unsigned first, last;

	return parse_status_range(text, &first, &last, NULL) == 0
		       ? NULL
		       : "is neither a status from 100 to 599 nor a range such as 200-299";
}

const char *schema_check_log_target(const char *text)
{
	return strcmp(text, "file") == 0 || strcmp(text, "journald") == 0
		       ? NULL
		       : "is not one of file, journald";
}

const char *schema_check_address(const char *text)
{
	unsigned char addr[sizeof(struct in6_addr)];

	if (inet_pton(AF_INET, text, addr) == 1 || inet_pton(AF_INET6, text, addr) == 1)
		return NULL;
	return "must be a numeric address such as 127.0.0.1 or ::1";
}

/* Whether the machine has them is looked at by manifest_host. */
const char *schema_check_cpuset(const char *text)
{
	int64_t last;

	if (parse_cpuset(text, &last, NULL) < 0)
		return "is not a list of processors such as 0-3,8";
	return strlen(text) > CPUSET_MAX ? "is longer than 255 characters" : NULL;
}

const char *schema_check_step(const char *text)
{
	unsigned percent;
	int64_t ms;

	return parse_step(text, &percent, &ms, NULL) == 0
		       ? NULL
		       : "is not a share and a time such as 5%/2m, or 100%";
}

/* Whether the machine has it is looked at where it is applied. */
const char *schema_check_zone(const char *text)
{
	return tz_is_name(text) ? NULL : "is not a time zone's name such as Europe/Vienna";
}

/* ---- containers ---- */

#define LOWER "abcdefghijklmnopqrstuvwxyz0123456789"

/* One part of an image's path: "my_app", "a--b", "v1.2". */
static bool is_image_part(const char *p, size_t n)
{
	return n > 0 && strspn(p, LOWER "._-") >= n && !strchr("._-", p[0]) &&
	       !strchr("._-", p[n - 1]);
}

/* "registry.example.org:5000", "localhost": what is no part of the path. */
static bool is_registry(const char *p, size_t n)
{
	return memchr(p, '.', n) || memchr(p, ':', n) ||
	       (n == strlen("localhost") && strncmp(p, "localhost", n) == 0);
}

static bool is_registry_good(const char *p, size_t n)
{
	size_t name = strspn(p, LETTERS ".-"), port = name < n ? n - name - 1 : 0;

	return name > 0 && p[0] != '-' &&
	       (name >= n || (p[name] == ':' && port > 0 && port <= 5 &&
			      strspn(p + name + 1, "0123456789") >= port));
}

static const char *check_image_path(const char *text, size_t len)
{
	const char *end = text + len;

	for (const char *p = text; p <= end;) {
		const char *slash = memchr(p, '/', (size_t)(end - p));
		size_t n = (size_t)((slash ? slash : end) - p);

		if (p == text && slash && is_registry(p, n)) {
			if (!is_registry_good(p, n))
				return "is not an image: its registry is not HOST[:PORT]";
		} else if (!is_image_part(p, n)) {
			return "is not an image: its name has a-z, 0-9, and \".\", \"_\" or "
			       "\"-\" between them";
		}
		p += n + 1;
	}
	return len <= 255 ? NULL : "is not an image: its name is longer than 255 characters";
}

/* [REGISTRY/]NAME[:TAG][@DIGEST] */
const char *schema_check_image(const char *text)
{
	const char *at = strchr(text, '@'), *end = at ? at : text + strlen(text), *colon = end;
	size_t tag;

	if (!text[0])
		return "must not be empty";
	if (strstr(text, "://"))
		return "is not an image: leave the scheme out, as in registry.example.org/name:tag";
	if (at && (strspn(at + 1, LETTERS "+._-") == 0 || !strchr(at, ':') ||
		   strlen(strchr(at, ':') + 1) < 32 ||
		   strchr(at, ':')[1 + strspn(strchr(at, ':') + 1, "0123456789abcdef")]))
		return "is not an image: after \"@\" stands a digest as sha256:...";
	while (colon > text && *colon != ':' && *colon != '/')
		colon--;
	if (*colon != ':')
		return check_image_path(text, (size_t)(end - text));
	tag = (size_t)(end - colon - 1);
	if (tag == 0 || tag > 128 || strspn(colon + 1, LETTERS "._-") < tag ||
	    strchr(".-", colon[1]))
		return "is not an image: its tag is not 1 to 128 letters, digits, \".\", \"_\" and "
		       "\"-\"";
	return check_image_path(text, (size_t)(colon - text));
}

const char *schema_check_target(const char *text)
{
	if (text[0] != '/')
		return "must be an absolute path";
	if (!text[strspn(text, "/")])
		return "must not be the root itself";
	if (strchr(text, ':'))
		return "must not hold \":\"";
	return strlen(text) < 4096 ? NULL : "is longer than 4095 bytes";
}

static bool is_engine_name(const char *text)
{
	size_t n = strspn(text, LETTERS "._-");

	return n > 0 && n <= 128 && !text[n] && !strchr("._-", text[0]);
}

const char *schema_check_volume_name(const char *text)
{
	return is_engine_name(text) && text[1]
		       ? NULL
		       : "is not a volume's name: 2 to 128 letters, digits, \".\", \"_\" and \"-\" "
			 "make one";
}

const char *schema_check_network(const char *text)
{
	return is_engine_name(text) ? NULL
				    : "is neither bridge, host nor none, nor the name of a network "
				      "of the engine";
}

/* May hold ${REPLICA}: the rest is looked at. */
const char *schema_check_hostname(const char *text)
{
	const char *p = text;

	while (*p && (strchr(LETTERS "-_.", *p) || (p[0] == '$' && p[1] == '{')))
		p += *p == '$' ? strcspn(p, "}") + (strchr(p, '}') != NULL) : 1;
	if (text[0] && !*p && !strchr("-_.", text[0]) && strlen(text) <= 253)
		return NULL;
	return "is not a host's name: letters, digits, \"-\", \"_\" and \".\" make one";
}

const char *schema_check_permissions(const char *text)
{
	return text[0] && !text[strspn(text, "rwm")] && strlen(text) <= 3
		       ? NULL
		       : "is not some of r, w and m";
}

const char *schema_check_capability(const char *text)
{
	return text[0] && !text[strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_")] && strlen(text) <= 63
		       ? NULL
		       : "is not a capability such as SYS_PTRACE, in capitals";
}

const char *schema_check_security(const char *text)
{
	static const char *const known[] = {"no-new-privileges", "seccomp", "apparmor", "label",
					    "systempaths",	 "mask",    "unmask",	"proc-opts",
					    "credentialspec"};
	size_t n = strcspn(text, "=:");

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (strlen(known[i]) == n && strncmp(known[i], text, n) == 0)
			return NULL;
	return "is not an option such as no-new-privileges, seccomp=unconfined, apparmor=..., "
	       "label=disable";
}

const char *schema_check_cdi(const char *text)
{
	const char *slash = strchr(text, '/'), *equals = strchr(text, '=');

	if (slash && equals && slash > text && equals > slash + 1 && equals[1] &&
	    !text[strspn(text, LETTERS "._-/=:")])
		return NULL;
	return "is not a CDI device such as nvidia.com/gpu=0";
}
