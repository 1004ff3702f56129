/* The verifier of mathematical answers: pairs of answers that are the same, and pairs that are not,
 * in both directions; where an answer is in a text; what is no answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "rewarder/verify.h"

#include <string.h>

static const char *const verdicts[] = {"none", "right", "wrong", "unparsed"};

static enum pl_verdict judge(const char *truth, const char *answer)
{
    const struct pl_task task = {.id = "t", .verifier = "math", .final = {.answer = truth}};

    return pl_verify_final(pl_verifier_named("math"), &task, answer, strlen(answer));
}

struct pair {
    const char *truth, *answer;
};

static void check(const struct pair *pairs, size_t count, enum pl_verdict want, bool both_ways)
{
    size_t failed = 0;

    for (size_t i = 0; i < count; i++) {
        const enum pl_verdict there = judge(pairs[i].truth, pairs[i].answer);
        const enum pl_verdict back = both_ways ? judge(pairs[i].answer, pairs[i].truth) : want;

        if (there == want && back == want)
            continue;
        failed++;
        print_message("'%s' for '%s' is %s, the other way round %s\n", pairs[i].answer,
                      pairs[i].truth, verdicts[there], verdicts[back]);
    }
    if (failed)
        fail_msg("%zu of %zu pairs are not all %s", failed, count, verdicts[want]);
}

#define SAME(...)                                                                                  \
    check((const struct pair[]){__VA_ARGS__},                                                      \
          sizeof((const struct pair[]){__VA_ARGS__}) / sizeof(struct pair), PL_VERDICT_RIGHT,      \
          true)
#define DIFFERENT(...)                                                                             \
    check((const struct pair[]){__VA_ARGS__},                                                      \
          sizeof((const struct pair[]){__VA_ARGS__}) / sizeof(struct pair), PL_VERDICT_WRONG,      \
          true)

static void numbers(void **state)
{
    (void)state;
    SAME({"5", "5"}, {"5", "5.0"}, {"5", "+5"}, {"-7", "-7.00"}, {"0", "-0"}, {"0.5", ".5"},
         {"007", "7"}, {"1,234", "1234"}, {"1{,}234", "1,234"}, {"11,\\! 111,\\! 100", "11111100"},
         {"`5`", "\"5\""}, {"5--3", "8"}, {"10,\\!000", "10000"}, {"1\\,000", "1000"},
         {"12,345,678", "12345678"}, {"1,000.50", "1000.5"}, {"0.1\\overline{6}", "\\frac{1}{6}"},
         {"0.\\overline{36}", "\\frac{4}{11}"}, {"3.\\overline{9}", "4"},
         {"1.5\\times 10^{3}", "1500"}, {"1.5e3", "1500"}, {"2.5\\cdot 10^{-2}", "0.025"},
         {"\\$5 million", "5000000"},
         {"-3", "\xE2\x88\x92"
                "3"},
         {"6.02 \\times 10^{23}", "602000000000000000000000"});
    DIFFERENT({"5", "6"}, {"5", "-5"}, {"5", "5.01"}, {"0.3", "\\frac{1}{3}"},
              {"0.33", "0.\\overline{3}"}, {"1,234", "1.234"}, {"1,234", "12,34"}, {"1000", "100"},
              {"3.14", "\\pi"}, {"1.5e3", "150"}, {"12", "21"},
              {"100000000000000000000001", "100000000000000000000000"});
}

static void fractions(void **state)
{
    (void)state;
    SAME({"\\frac{1}{2}", "0.5"}, {"\\frac{1}{2}", "\\dfrac{1}{2}"}, {"\\frac12", "\\tfrac{1}{2}"},
         {"\\frac{1}{2}", "1/2"}, {"\\frac{3}{4}", "\\frac{6}{8}"},
         {"-\\frac{1}{2}", "\\frac{-1}{2}"}, {"-\\frac{1}{2}", "\\frac{1}{-2}"},
         {"\\frac1{72}", "\\frac{1}{72}"}, {"\\frac{10}3", "\\frac{10}{3}"},
         {"1\\frac{1}{2}", "\\frac{3}{2}"}, {"1\\frac12", "1.5"}, {"-2\\frac{3}{4}", "-2.75"},
         {"1 1/2", "3/2"}, {"12 3/8", "12\\frac{3}{8}"},
         {"\\frac{\\frac{1}{2}}{3}", "\\frac{1}{6}"}, {"\\frac{7}{1}", "7"},
         {"\\frac{0.5}{0.25}", "2"}, {"{1}/{3}", "\\frac13"}, {"1\\div 4", "0.25"},
         {"\\frac{1}{3}", "1\xE2\x81\x84"
                          "3"},
         {"\\left(\\frac{2}{3}\\right)", "2/3"});
    DIFFERENT({"\\frac{1}{2}", "\\frac{2}{1}"}, {"\\frac{1}{3}", "0.333"},
              {"1\\frac{1}{2}", "\\frac{1}{2}"}, {"1\\frac{1}{2}", "1 \\cdot \\frac{1}{2}"},
              {"2\\frac{1}{3}", "\\frac{2}{3}"}, {"\\frac{5}{12}", "\\frac{5}{13}"},
              {"\\frac{12}{5}", "2.5"}, {"1 1/2", "11/2"});
}

static void percentages(void **state)
{
    (void)state;
    SAME({"50\\%", "50%"}, {"50\\%", "50"}, {"50\\%", "0.5"}, {"50\\%", "\\frac{1}{2}"},
         {"12.5\\%", "\\frac18"}, {"50\\%", "50 percent"}, {"-20\\%", "-20"}, {"-20\\%", "-0.2"},
         {"33\\frac{1}{3}\\%", "\\frac{1}{3}"}, {"100\\%", "1"}, {"0.5\\%", "\\frac{1}{200}"});
    DIFFERENT({"50\\%", "5"}, {"50\\%", "0.05"}, {"50\\%", "5000"}, {"50\\%", "0.5\\%"},
              {"1\\%", "100\\%"}, {"33\\%", "\\frac{1}{3}"});
}

static void money_and_units(void **state)
{
    (void)state;
    SAME({"\\$18.90", "18.90"}, {"\\$18.90", "$18.9"}, {"18.90", "18.90 dollars"},
         {"\\$1,250", "1250"}, {"-\\$5", "-5"}, {"\\$-5", "-5"}, {"10\\text{ cm}", "10"},
         {"10\\text{ cm}", "10 cm"}, {"10\\text{ cm}^2", "10\\ \\text{square centimeters}"},
         {"10\\mbox{ inches}", "10\\text{ inch}"}, {"24\\text{ sq. ft}", "24 square feet"},
         {"24 sq. ft.", "24\\text{ feet squared}"},
         {"\\frac{270}7\\text{ degrees}", "\\frac{270}{7}"}, {"12\\text{ square units}", "12"},
         {"8\\text{ m}^3", "8 \\text{ cubic meters}"}, {"60\\text{ miles per hour}", "60 mph"},
         {"60\\text{ mi/hr}", "60 \\text{ miles per hour}"}, {"5\\text{ apples}", "5"},
         {"5\\text{ apples}", "5 oranges"}, {"18", "18 eggs"}, {"7\\text{ units}", "7\\text{ cm}"},
         {"90^\\circ", "90"}, {"90^{\\circ}", "90^\\circ"}, {"45^\\circ", "45 degrees"},
         {"45\xC2\xB0", "45^\\circ"}, {"x=5\\text{ cm}", "5"}, {"7", "7 \\mathrm{~m}"},
         {"7\\text{ m}", "7\\,\\mathrm{m}"}, {"2\\mathrm{e}^x", "2e^x"}, {"3+\\mathrm{i}", "i+3"},
         {"3\\sqrt{2}\\text{ feet}", "3\\sqrt2"}, {"2\\pi\\text{ meters}", "2 pi"},
         {"\\frac{1}{2}\\text{ hour}", "0.5 hours"}, {"98.6^\\circ\\text{F}", "98.6"},
         {"1{,}000\\text{ kg}", "1000 kilograms"}, {"5\\text{ m/s}", "5 meters per second"});
    DIFFERENT({"10\\text{ cm}", "10\\text{ m}"}, {"10\\text{ cm}^2", "10\\text{ cm}"},
              {"10\\text{ cm}^2", "10\\text{ cm}^3"}, {"5\\text{ apples}", "6 apples"},
              {"\\$5", "5 cents"}, {"\\$5", "\\$50"}, {"60\\text{ mph}", "60\\text{ miles}"},
              {"3\\text{ feet}", "3 yards"}, {"90^\\circ", "\\frac{\\pi}{2}"}, {"5 million", "5"});
}

static void roots_and_powers(void **state)
{
    (void)state;
    SAME({"\\sqrt{8}", "2\\sqrt{2}"}, {"\\sqrt8", "2\\sqrt2"},
         {"\\frac{1}{\\sqrt{2}}", "\\frac{\\sqrt{2}}{2}"}, {"11\\sqrt2", "11\\sqrt{2}"},
         {"\\sqrt{\\frac{3}{4}}", "\\frac{\\sqrt{3}}{2}"},
         {"\\frac{3\\sqrt{3}}{4}", "\\frac{3}{4}\\sqrt{3}"}, {"\\sqrt{6}\\sqrt{10}", "2\\sqrt{15}"},
         {"\\frac{-1+\\sqrt{5}}{2}", "\\frac{\\sqrt{5}-1}{2}"},
         {"\\frac{1}{1+\\sqrt{2}}", "\\sqrt{2}-1"},
         {"\\frac{2}{\\sqrt{5}-\\sqrt{3}}", "\\sqrt5+\\sqrt3"},
         {"\\sqrt{3+2\\sqrt{2}}", "1+\\sqrt{2}"}, {"\\sqrt{6+2\\sqrt{5}}", "\\sqrt{5}+1"},
         {"\\sqrt{4-2\\sqrt{3}}", "\\sqrt{3}-1"}, {"(1+\\sqrt{2})^3", "7+5\\sqrt{2}"},
         {"\\sqrt[3]{16}", "2\\sqrt[3]{2}"}, {"\\sqrt[3]{-27}", "-3"},
         {"\\sqrt[4]{4}", "\\sqrt{2}"}, {"8^{2/3}", "4"}, {"2^{-3}", "\\frac18"},
         {"2^{10}", "1024"}, {"2^10", "1024"}, {"x^{12}", "x^12"}, {"2^{2024}", "4^{1012}"},
         {"2^{2005}", "2\\cdot 2^{2004}"}, {"10^{500}", "2^{500}5^{500}"}, {"\\sqrt{-9}", "3i"},
         {"\\sqrt{0}", "0"}, {"sqrt(12)", "2*sqrt(3)"},
         {"\xE2\x88\x9A"
          "5",
          "\\sqrt{5}"},
         {"\\sqrt{1000003}", "\\frac{1000003}{\\sqrt{1000003}}"},
         {"2\\sqrt{3}+3\\sqrt{2}", "\\sqrt{12}+\\sqrt{18}"}, {"\\sqrt{2^4}", "4"},
         {"6\\sqrt{2}", "6\\sqrt{2} \\approx 8.49"},
         {"x=\\sqrt2", "x = \\sqrt{2} \xE2\x89\x88 1.414"}, {"5\\sqrt[3]{3}", "\\sqrt[3]{375}"});
    DIFFERENT({"\\sqrt{8}", "\\sqrt{2}"}, {"\\sqrt{2}", "1.414"},
              {"1.41", "\\sqrt{2}\\approx 1.41"}, {"\\sqrt{2}+\\sqrt{3}", "\\sqrt{5}"},
              {"2\\sqrt{3}", "3\\sqrt{2}"}, {"\\sqrt[3]{2}", "\\sqrt{2}"}, {"2^{10}", "10^2"},
              {"2^{2024}", "2^{2023}"}, {"\\sqrt{3+2\\sqrt{2}}", "\\sqrt{2}-1"}, {"-2^2", "4"},
              {"2^{500}", "3^{500}"}, {"\\sqrt{-9}", "-3"}, {"\\sqrt{3+\\sqrt{2}}", "1+\\sqrt{2}"});
}

static void pi_e_i_and_functions(void **state)
{
    (void)state;
    SAME({"3\\pi", "3 pi"}, {"3\\pi", "3\xCF\x80"}, {"\\frac{\\pi}{2}", "0.5\\pi"},
         {"\\frac{2\\pi}{6}", "\\frac{1}{3}\\pi"}, {"3+4i", "4i+3"}, {"(1+i)^2", "2i"},
         {"\\frac{1}{i}", "-i"}, {"i^{2023}", "-i"}, {"\\frac{5}{2-i}", "2+i"},
         {"e^{x+1}", "e\\cdot e^x"}, {"e^2", "e \\cdot e"}, {"\\exp(x)", "e^x"},
         {"\\ln 8", "3\\ln 2"}, {"\\ln{6}", "\\ln 2+\\ln 3"}, {"\\log_2 8", "3"},
         {"\\log_{2}{6}", "1+\\log_2 3"}, {"\\log 100", "2"}, {"\\log_4 8", "\\frac{3}{2}"},
         {"\\ln(e^5)", "5"}, {"\\frac{\\ln 9}{\\ln 3}", "2"}, {"-\\ln 2", "\\ln\\frac{1}{2}"},
         {"\\sin 30^\\circ", "\\sin(30^\\circ)"}, {"\\sin^2 x", "(\\sin x)^2"},
         {"\\cos(-x)", "\\cos x"}, {"\\sin(-x)", "-\\sin x"}, {"\\sin 2x", "\\sin(2x)"},
         {"\\sin^{-1} x", "\\arcsin x"}, {"2\\sin x\\cos x", "2\\cos(x) \\sin(x)"},
         {"\\tan\\frac{\\pi}{8}", "\\tan(\\pi/8)"}, {"5!", "120"}, {"\\frac{10!}{8!}", "90"},
         {"\\binom{5}{2}", "10"}, {"\\dbinom{6}{3}", "20"}, {"|{-3}|", "3"}, {"|3-x|", "|x-3|"},
         {"|3-\\pi|", "\\pi-3"}, {"|\\sqrt{2}-e|", "e-\\sqrt2"}, {"\\lfloor 3.7 \\rfloor", "3"},
         {"\\lceil -3.7\\rceil", "-3"}, {"\\lfloor -0.5\\rfloor", "-1"},
         {"\\operatorname{sin} x", "\\sin x"});
    DIFFERENT({"3\\pi", "3"}, {"\\pi", "\\frac{22}{7}"}, {"3+4i", "3-4i"}, {"e", "2.718"},
              {"\\ln 2", "\\log_{10} 2"}, {"\\sin x", "\\cos x"}, {"\\sin 30^\\circ", "\\sin 30"},
              {"\\sin 2x", "2\\sin x"}, {"\\cos(-x)", "-\\cos x"}, {"5!", "24"},
              {"\\binom{5}{2}", "\\frac{5}{2}"}, {"\\overline{z}", "z"}, {"|x|", "x"},
              {"\\lfloor x\\rfloor", "x"}, {"f(2x)", "2f(x)"});
}

static void polynomials(void **state)
{
    (void)state;
    SAME({"x^2+2x+1", "(x+1)^2"}, {"(x-3)(x+4)", "x^2+x-12"}, {"2x+3", "3+2x"}, {"xy", "yx"},
         {"2(a+b)", "2a+2b"}, {"x^3-1", "(x-1)(x^2+x+1)"}, {"\\frac{x^2-1}{x-1}", "x+1"},
         {"\\frac{1}{x}+\\frac{1}{y}", "\\frac{x+y}{xy}"}, {"\\frac{a}{b}", "a/b"},
         {"\\frac ab", "\\frac{a}{b}"}, {"1/2x", "\\frac{x}{2}"},
         {"\\frac{3}{2x}", "\\frac{1.5}{x}"}, {"x^{-1}", "\\frac1x"}, {"\\sqrt{x}", "x^{1/2}"},
         {"\\sqrt{x^2}", "|x|"}, {"\\sqrt{4x+8}", "2\\sqrt{x+2}"},
         {"\\sqrt{x}\\sqrt{y}", "\\sqrt{xy}"}, {"(\\sqrt{x+1})^2", "x+1"},
         {"\\frac{1}{\\sqrt{x+1}}", "\\frac{\\sqrt{x+1}}{x+1}"}, {"2^{n+1}", "2\\cdot 2^n"},
         {"4^n", "2^{2n}"}, {"6^n", "2^n 3^n"},
         {"\\frac{n(n+1)}{2}", "\\binom{3}{1}\\frac{n^2+n}{6}"}, {"x_1+x_2", "x_{2}+x_{1}"},
         {"a_{n+1}", "a_{n+1}"}, {"\\alpha\\beta", "\\beta \\alpha"}, {"x^2", "x\xC2\xB2"},
         {"x**2", "x^2"}, {"-(x-y)", "y-x"}, {"\\frac{x-y}{y-x}", "-1"},
         {"\\frac{1}{1-x}", "\\frac{-1}{x-1}"}, {"(a+b+c)^2", "a^2+b^2+c^2+2ab+2bc+2ca"},
         {"\\mathbf{i}+2\\mathbf{j}", "2j+i"}, {"3x^2y", "3yx^{2}"}, {"x\\cdot x", "x^2"},
         {"5x - 2x", "3x"}, {"\\theta", "\xCE\xB8"});
    DIFFERENT({"x^2+2x+1", "x^2+1"}, {"(x+1)^2", "(x-1)^2"}, {"x", "y"}, {"x", "X"}, {"2x", "x^2"},
              {"\\frac{1}{2x}", "1/2x"}, {"\\sqrt{x^2}", "x"}, {"\\sqrt{x+1}", "\\sqrt{x}+1"},
              {"x_1", "x_2"}, {"a_{n+1}", "a_n+1"}, {"2^{n+1}", "2^n"}, {"x^2", "x2"},
              {"\\frac{a}{b}", "\\frac{b}{a}"}, {"a-b", "b-a"}, {"x^{12}", "x^1 2"}, {"e^x", "x^e"},
              {"(a+b)^2", "a^2+b^2"});
}

static void equations(void **state)
{
    (void)state;
    SAME({"y=2x+1", "2x+1=y"}, {"y=2x+1", "2x-y+1=0"}, {"y=2x+1", "2x+1"}, {"y=2x+1", "y = 1 + 2x"},
         {"x=5", "5"}, {"x = 5", "5 = x"}, {"5", "x = 2 + 3 = 5"}, {"5", "2+3=5"},
         {"f(x)=x^2", "x^2"}, {"f^{-1}(x)=\\frac{x}{2}", "\\frac{x}{2}"},
         {"x^2+y^2=25", "2x^2+2y^2=50"}, {"x+2y-3=0", "-x-2y=-3"}, {"(x,y)=(1,2)", "(1,2)"},
         {"x_1 = 4", "4"}, {"\\text{Area}=12", "12"}, {"x=1, y=2", "y=2, x=1"}, {"x=1,x=2", "1,2"},
         {"x=1,x=2", "x=2 \\text{ or } x=1"}, {"x=\\pm 3", "x=3,x=-3"}, {"k=\\frac{1}{2}", "0.5"},
         {"\\frac{x^2}{9}+\\frac{y^2}{4}=1", "4x^2+9y^2=36"}, {"P(x)=x+1", "x+1"},
         {"m+n = 17", "17=m+n"}, {"x = \\{1,2\\}", "\\{2,1\\}"});
    DIFFERENT({"y=2x+1", "y=2x-1"}, {"y=2x+1", "x=2y+1"}, {"x=5", "y=5"}, {"x=5", "6"},
              {"5", "2+3=6"}, {"6", "2+3=6"}, {"5", "5=6"}, {"x+y=5", "5"}, {"1=2", "3=4"},
              {"x=x", "y=y"}, {"f(x)=x", "g(x)=x"}, {"x=1,y=2", "x=2,y=1"}, {"x=1,y=2", "2,1"},
              {"x^2+y^2=25", "x^2+y^2=5"}, {"(x,y)=(1,2)", "(2,1)"});
}

static void inequalities_and_intervals(void **state)
{
    (void)state;
    SAME({"[0,1)", "[0, 1)"}, {"\\left[0,\\frac{1}{2}\\right)", "[0,0.5)"},
         {"x \\in [-2,7]", "[-2,7]"}, {"-2\\le x\\le 7", "[-2,7]"},
         {"7 \\geq x \\geq -2", "-2\\leq x \\leq 7"}, {"x>3", "(3,\\infty)"}, {"3<x", "x>3"},
         {"x\\le 3", "(-\\infty,3]"},
         {"(-\\infty,2]\\cup[3,\\infty)", "[3,\\infty)\\cup(-\\infty,2]"},
         {"x<1\\text{ or }x>2", "(-\\infty,1)\\cup(2,\\infty)"},
         {"x \\in (-\\infty,-1) \\cup (1,+\\infty)", "(-\\infty, -1) \\cup (1, \\infty)"},
         {"x+y>3", "3<x+y"}, {"2x>6", "x>3"}, {"x\\neq 3", "x \\ne 3"},
         {"x <= 4", "x \\leqslant 4"}, {"-x < 2", "x > -2"},
         {"(0,1)\\cup(1,2)", "(1,2) \xE2\x88\xAA (0,1)"}, {"[1,\\sqrt{8}]", "[1,2\\sqrt2]"},
         {"-\\infty", "-infinity"}, {"1<x<2", "(1,2)"}, {"-\\infty < x < 3", "(-\\infty,3)"},
         {"x\\le 3", "-\\infty < x\\le 3"});
    DIFFERENT({"[0,1)", "(0,1)"}, {"[0,1)", "[0,1]"}, {"[0,1]", "[1,0]"}, {"x>3", "x\\ge 3"},
              {"x>3", "x<3"}, {"x>3", "3"}, {"x>3", "y>3"}, {"x>3", "[3,\\infty)"},
              {"(-\\infty,2]\\cup[3,\\infty)", "(-\\infty,2)\\cup(3,\\infty)"},
              {"(-\\infty,2]", "(-\\infty,2]\\cup[3,\\infty)"}, {"x+y>3", "x+y<3"},
              {"x\\neq 3", "x=3"}, {"\\infty", "-\\infty"}, {"-x<2", "x<-2"},
              {"1<x<2", "1<x\\le 2"});
}

static void tuples_sets_and_lists(void **state)
{
    (void)state;
    SAME({"(1,2)", "(1, 2)"}, {"\\left(3,\\frac{\\pi}{2}\\right)", "(3,\\pi/2)"},
         {"(3,-4)", "\\left( 3, -4 \\right)"}, {"\\{1,2,3\\}", "\\{3, 2, 1\\}"},
         {"\\{1,2\\}", "1, 2"}, {"1,2,3", "3,1,2"}, {"3 \\text{ and } 5", "5, 3"},
         {"1, 2, and 3", "3,2,1"}, {"2 or 4", "4, 2"}, {"\\pm 3", "3,-3"},
         {"1\\pm\\sqrt{2}", "1-\\sqrt2, 1+\\sqrt2"},
         {"\\frac{3\\pm\\sqrt{5}}{2}", "\\frac{3+\\sqrt5}{2},\\frac{3-\\sqrt5}{2}"},
         {"0, \\pm 2", "-2, 0, 2"}, {"(1,2),(3,4)", "(3,4), (1,2)"}, {"\\emptyset", "\\{\\}"},
         {"\\{(1,2),(2,1)\\}", "(2,1),(1,2)"}, {"2:3", "2 : 3"}, {"6:30", "6:30"},
         {"\\{1\\}\\cup(2,3)", "(2,3)\\cup\\{1\\}"}, {"\\langle 1,2\\rangle", "(1,2)"},
         {"(\\pm 1, 2)", "(1,2),(-1,2)"}, {"100,200", "100, 200"}, {"-1,\\frac12", "0.5, -1"},
         {"a=\\pm 1, b=2", "b=2, a=1, a=-1"},
         {"\\{ \\{1,2\\}, \\{3\\} \\}", "\\{\\{3\\},\\{2,1\\}\\}"},
         {"(1,2,3)", "(1,2,\\frac{6}{2})"});
    DIFFERENT({"(1,2)", "(2,1)"}, {"(1,2)", "1,2"}, {"(1,2)", "[1,2]"}, {"(1,2)", "(1,2,3)"},
              {"\\{1,2\\}", "\\{1,2,3\\}"}, {"\\{1,2\\}", "\\{1,3\\}"}, {"1,2", "1"},
              {"1,2", "1,1"}, {"1,1,2", "1,2,2"}, {"\\pm 3", "3"}, {"\\pm 3", "-3"},
              {"1\\pm\\sqrt2", "1+\\sqrt2"}, {"(1,2),(3,4)", "(1,3),(2,4)"}, {"2:3", "3:2"},
              {"2:3", "\\frac{2}{3}"}, {"\\emptyset", "0"}, {"a\\pm b", "a+b"},
              {"(1,2)", "\\{1,2\\}"}, {"\\{(1,2),(3,4)\\}", "(1,2)\\cup(3,4)"});
}

static void matrices(void **state)
{
    (void)state;
    SAME({"\\begin{pmatrix} 1 & 2 \\\\ 3 & 4 \\end{pmatrix}",
          "\\begin{bmatrix}1&2\\\\3&4\\end{bmatrix}"},
         {"\\begin{pmatrix} 1/2 \\\\ 3 \\end{pmatrix}",
          "\\begin{pmatrix} \\frac12 \\\\ \\frac{6}{2} \\end{pmatrix}"},
         {"\\begin{pmatrix} 1 & 2 \\\\ 3 & 4 \\\\ \\end{pmatrix}",
          "\\begin{pmatrix} 1 & 2 \\\\ 3 & 4 \\end{pmatrix}"},
         {"\\left(\\begin{array}{cc} a & b \\end{array}\\right)",
          "\\begin{pmatrix} a & b \\end{pmatrix}"},
         {"\\begin{bmatrix} -x \\\\ x+x \\end{bmatrix}",
          "\\begin{bmatrix} -x \\\\ 2x \\end{bmatrix}"});
    DIFFERENT({"\\begin{pmatrix} 1 & 2 \\\\ 3 & 4 \\end{pmatrix}",
               "\\begin{pmatrix} 1 & 3 \\\\ 2 & 4 \\end{pmatrix}"},
              {"\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}", "\\begin{pmatrix} 1 & 2 \\end{pmatrix}"},
              {"\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}", "(1,2)"},
              {"\\begin{pmatrix} 1 & 2 \\\\ 3 & 4 \\end{pmatrix}",
               "\\begin{vmatrix} 1 & 2 \\\\ 3 & 4 \\end{vmatrix}"},
              {"\\begin{pmatrix} 1 & 2 \\\\ 3 \\end{pmatrix}",
               "\\begin{pmatrix} 1 & 2 \\\\ 3 & 0 \\end{pmatrix}"});
}

static void numerals_of_a_base(void **state)
{
    (void)state;
    SAME({"101_2", "101_{2}"}, {"2516_8", "2516_{8}"}, {"x = 11_3", "11_3"},
         {"\\text{A}5_{12}", "\\text{A}5_{12}"});
    DIFFERENT({"101_2", "5"}, {"101_2", "101"}, {"101_2", "101_3"}, {"101_2", "11_4"},
              {"2516_8", "2516_9"});
}

static void words(void **state)
{
    (void)state;
    SAME({"\\text{Monday}", "monday"}, {"\\text{even}", "Even"}, {"\\text{(A)}", "A"},
         {"\\text{(A)}", "(A)"}, {"(\\text{A})", "\\mathrm{A}"}, {"\\textbf{B}", "B"},
         {"\\text{no solution}", "No solution"}, {"\\text{Alice, Bob}", "Bob and Alice"},
         {"6{:}00\\text{ p.m.}", "6:00 pm"}, {"\\text{Yes}", "yes"}, {"\\text{June 20}", "June 20"},
         {"\\mathbb{R}", "\\mathbb R"}, {"\\text{all real numbers}", "All real numbers."},
         {"\\text{Plan B}", "plan B"}, {"\\mbox{ellipse}", "\\text{ellipse}"},
         {"\\text{well-known}", "well-known"}, {"\\triangle ABC", "\\triangle ABC"});
    DIFFERENT({"\\text{Monday}", "Tuesday"}, {"\\text{even}", "odd"}, {"\\text{(A)}", "(B)"},
              {"A", "a"}, {"\\text{yes}", "no"}, {"\\text{Alice, Bob}", "Alice"},
              {"\\text{Plan B}", "Plan A"}, {"\\text{Monday}", "5"},
              {"\\text{no solution}", "solution"}, {"\\triangle ABC", "\\triangle ABD"},
              {"6{:}00\\text{ p.m.}", "6:00 a.m."});
}

/* What is not brought into a canonical form is compared as it stands. */
static void what_cannot_be_computed(void **state)
{
    (void)state;
    SAME({"\\frac{1}{0}", "\\dfrac{1}{0}"}, {"1,2,\\ldots", "1,2,\\dots"},
         {"\\int_0^1 x\\,dx", "\\int_{0}^{1}x dx"}, {"9^{9^{9}}", "9^{9^{9}}"},
         {"\\{x \\mid x > 0\\}", "\\{ x | x>0 \\}"}, {"0^0", "0^0"},
         {"x \\equiv 2 \\pmod 5", "x\\equiv 2\\pmod 5"}, {"2^{1/11}", "2^{1/11}"});
    DIFFERENT({"\\frac{1}{0}", "\\frac{2}{0}"}, {"0^0", "1"}, {"9^{9^{9}}", "9^{9^{8}}"},
              {"\\int_0^1 x\\,dx", "\\frac12"}, {"\\frac{0}{0}", "1"},
              {"\\frac{1}{\\sqrt8-2\\sqrt2}", "0"}, {"x \\equiv 2 \\pmod 5", "2"},
              {"i^{1/2}", "i"});
}

static void answers_within_texts(void **state)
{
    (void)state;
    static const struct pair right[] = {
        {"5", "\\boxed{5}"},
        {"5", "So $x = \\boxed{5}$."},
        {"5", "First \\boxed{4}, no: \\boxed{5}"},
        {"5", "\\fbox{5}"},
        {"5", "\\boxed{\\boxed{5}}"},
        {"5", "\\boxed{5} and then \\boxed{6"},
        {"5", "$\\boxed 5$ it is"},
        {"\\frac{1}{2}", "We get \\boxed{\\frac{1}{2}}."},
        {"\\{1,2\\}", "\\boxed{\\{2,1\\}}"},
        {"\\{1,2\\}", "\\boxed{\\left\\{2,1\\right\\}}"},
        {"Add them: $2+3=\\boxed{5}$.", "5"},
        {"2 + 3 = <<2+3=5>>5\n#### 5", "5"},
        {"5", "2 + 3 = 5\n#### 5\n"},
        {"5", "The answer is 5."},
        {"5", "So the final answer is: $5$."},
        {"5", "**Answer:** 5"},
        {"5", "Answer: **5**"},
        {"5", "the answer is 4? No, the answer is 5"},
        {"5", "  $5$ "},
        {"5", "$$5$$"},
        {"5", "\\(5\\)"},
        {"5", "\\[ 5 \\]"},
        {"5", "$x=5$."},
        {"5", "5."},
        {"x^2", "the answer is $x^2$."},
        {"\\$5", "$\\$5$"},
    };
    static const struct pair wrong[] = {
        {"5", "First \\boxed{5}, no: \\boxed{4}"},
        {"5", "It is not 5"},
        {"5", "The answer is 5? No, the answer is 6"},
        {"5", "5 or 6"},
        {"5", "I cannot tell"},
    };

    check(right, sizeof right / sizeof *right, PL_VERDICT_RIGHT, false);
    check(wrong, sizeof wrong / sizeof *wrong, PL_VERDICT_WRONG, false);
}

static void what_is_no_answer(void **state)
{
    static const struct pair none[] = {
        {"5", ""},
        {"5", " \n"},
        {"5", "$$"},
        {"5", "\\boxed{}"},
        {"5", "\\boxed{5"},
        {"5", "it is \\boxed"},
        {"5", "\\boxed{ \\, }"},
        {"5", "1, 2, \\ldots, 5"},
        {"5", "..."},
        {"5", "the answer is"},
        {"5", "####"},
    };

    (void)state;
    check(none, sizeof none / sizeof *none, PL_VERDICT_UNPARSED, false);
}

static const char *const aliases[] = {"\\text{half}", "50\\%"};
static const struct pl_truth steps[] = {{.answer = "x=2"},
                                        {.answer = "3", .aliases = aliases, .alias_count = 2}};
static const struct pl_task task = {
    .id = "t",
    .verifier = "math",
    .final = {.answer = "\\frac{1}{2}", .aliases = aliases, .alias_count = 2},
    .steps = steps,
    .step_count = 2,
};

static enum pl_verdict step(size_t i, const char *answer)
{
    return pl_verify_step(&pl_verify_math, &task, &steps[i], answer, strlen(answer));
}

static void aliases_and_steps(void **state)
{
    (void)state;
    assert_int_equal(pl_verify_final(&pl_verify_math, &task, "half", 4), PL_VERDICT_RIGHT);
    assert_int_equal(pl_verify_final(&pl_verify_math, &task, "0.5", 3), PL_VERDICT_RIGHT);
    assert_int_equal(pl_verify_final(&pl_verify_math, &task, "50", 2), PL_VERDICT_RIGHT);
    assert_int_equal(pl_verify_final(&pl_verify_math, &task, "0.4", 3), PL_VERDICT_WRONG);
    assert_int_equal(step(0, "2"), PL_VERDICT_RIGHT);
    assert_int_equal(step(0, "3"), PL_VERDICT_WRONG);
    assert_int_equal(step(1, "3"), PL_VERDICT_RIGHT);
    assert_int_equal(step(1, "0.5"), PL_VERDICT_RIGHT);
    assert_int_equal(step(1, "2"), PL_VERDICT_WRONG);
    assert_int_equal(step(1, ""), PL_VERDICT_UNPARSED);
}

static void tasks_that_cannot_be_verified_are_refused(void **state)
{
    const char *const empty[] = {"\\,"};
    struct pl_truth truth = {.answer = "5"};
    struct pl_task bad = task;
    struct pl_error err;
    char text[4096];

    (void)state;
    assert_int_equal(pl_verifier_check(&task, &err), PL_OK);
    bad.final.answer = "$ $";
    assert_int_equal(pl_verifier_check(&bad, &err), PL_EFORMAT);
    assert_non_null(strstr(err.text, "the answer, '$ $', holds nothing"));
    memset(text, '1', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    bad.final.answer = text;
    assert_int_equal(pl_verifier_check(&bad, &err), PL_EFORMAT);
    assert_non_null(strstr(err.text, "is longer"));
    bad = task;
    bad.steps = &truth;
    bad.step_count = 1;
    assert_int_equal(pl_verifier_check(&bad, &err), PL_OK);
    truth.aliases = empty;
    truth.alias_count = 1;
    assert_int_equal(pl_verifier_check(&bad, &err), PL_EFORMAT);
    assert_non_null(strstr(err.text, "an alias, '\\,', holds nothing"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers),
        cmocka_unit_test(fractions),
        cmocka_unit_test(percentages),
        cmocka_unit_test(money_and_units),
        cmocka_unit_test(roots_and_powers),
        cmocka_unit_test(pi_e_i_and_functions),
        cmocka_unit_test(polynomials),
        cmocka_unit_test(equations),
        cmocka_unit_test(inequalities_and_intervals),
        cmocka_unit_test(tuples_sets_and_lists),
        cmocka_unit_test(matrices),
        cmocka_unit_test(numerals_of_a_base),
        cmocka_unit_test(words),
        cmocka_unit_test(what_cannot_be_computed),
        cmocka_unit_test(answers_within_texts),
        cmocka_unit_test(what_is_no_answer),
        cmocka_unit_test(aliases_and_steps),
        cmocka_unit_test(tasks_that_cannot_be_verified_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
