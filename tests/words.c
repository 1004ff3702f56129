#include "tests/words.h"

#include <ctype.h>
#include <string.h>

/* Bytes of the word at text. */
static size_t word_len(const char *text)
{
    size_t len = 0;

    while (isalnum((unsigned char)text[len]))
        len++;
    if (len == 0 && text[0] == '\'' && text[1] == 's')
        return 2;
    return len > 0 ? len : 1;
}

bool pl_words_split(const char *text, struct pl_words *ret_words)
{
    ret_words->count = 0;
    for (size_t len; *text; text += len) {
        len = word_len(text);
        if (*text == ' ')
            continue;
        if (ret_words->count == PL_WORDS_MAX || len >= PL_WORD_BYTES)
            return false;
        for (size_t i = 0; i < len; i++)
            ret_words->word[ret_words->count][i] = (char)tolower((unsigned char)text[i]);
        ret_words->word[ret_words->count++][len] = '\0';
    }
    return true;
}

bool pl_words_match(const struct pl_words *words, size_t at, const char *pattern,
                    char found[26][PL_WORD_BYTES], size_t *ret_end)
{
    for (; *pattern; at++) {
        const size_t len = strcspn(pattern, " ");
        const char *word = at < words->count ? words->word[at] : "";

        if (!*word)
            return false;
        if (len == 1 && *pattern >= 'A' && *pattern <= 'Z') {
            char *slot = found[*pattern - 'A'];

            if (*slot && strcmp(slot, word) != 0)
                return false;
            strcpy(slot, word);
        } else if (!(len == 1 && *pattern == '_') &&
                   (strlen(word) != len || strncmp(word, pattern, len) != 0)) {
            return false;
        }
        pattern += len + (pattern[len] == ' ');
    }
    *ret_end = at;
    return true;
}
