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
	return text[0] && text[0] != '-' && strlen(text) <= 255 && !strpbrk(text, ":/ \t\n");
}

const char *schema_check_user(const char *text)
{
	return is_account(text) ? NULL : "must be the name or number of a user";
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
	while (*p == '_' || isalnum((unsigned char)*p))
		p++;
	return *p ? "is not a variable's name: letters, digits and \"_\" make one" : NULL;
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
