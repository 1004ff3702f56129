/*
 * json PATH <FILE: for each JSON value on standard input, what stands at a dotted path ("." is all
 * of it; numbers count in arrays), one a line: strings as they are, the rest as JSON, nothing where
 * there is nothing. Exit status 1: the input is no JSON, or there is none.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const json_t *step(const json_t *value, const char *key)
{
    if (json_is_array(value))
        return json_array_get(value, strtoul(key, NULL, 10));
    return json_object_get(value, key);
}

static void print_at(const json_t *value, const char *path)
{
    char *copy = strdup(path), *rest = copy, *key;

    while (value && (key = strsep(&rest, ".")) != NULL)
        if (key[0])
            value = step(value, key);
    if (json_is_string(value))
        printf("%s\n", json_string_value(value));
    else if (!value || json_dumpf(value, stdout, JSON_ENCODE_ANY | JSON_COMPACT) < 0 ||
             putchar('\n') == EOF)
        printf("\n");
    free(copy);
}

int main(int argc, char **argv)
{
    size_t count = 0;
    int c;

    if (argc != 2) {
        fprintf(stderr, "Usage: json PATH <FILE\n");
        return 2;
    }
    for (;; count++) {
        json_error_t error;
        json_t *value;

        while ((c = getchar()) == '\n' || c == ' ')
            ;
        if (c == EOF)
            return count > 0 ? 0 : 1;
        ungetc(c, stdin);
        value = json_loadf(stdin, JSON_DISABLE_EOF_CHECK | JSON_REJECT_DUPLICATES, &error);
        if (!value) {
            fprintf(stderr, "json: value %zu: %s\n", count + 1, error.text);
            return 1;
        }
        print_at(value, argv[1]);
        json_decref(value);
    }
}
