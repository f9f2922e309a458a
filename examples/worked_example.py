"""The founding article's worked example (its section 4.2), in right numbers, by attncli's reference in plain Python."""

from collections.abc import Callable, Sequence
from math import sqrt

from attncli.reference.attention import Normalizer, one_head
from attncli.reference.normalizers import plain_sum, softmax
from attncli.reference.scores import additive, biased_dot, dot_product, scaled_dot
from attncli.reference.vectors import product

X = [[1, 0, 2], [3, 2, 1], [1, 3, 4], [2, 1, 0], [4, 2, 3]]  # the inputs: five tokens, three features
H = [[1, 0, 3], [2, 1, 2], [3, 2, 1], [0, 4, 5], [5, 3, 2]]  # five states of the decoder, which ask
M = [[1, 2, 3], [0, 1, 4], [3, 4, 5]]

PRINTED_PRODUCT = [[7, 6, 11], [13, 12, 19], [7, 15, 24], [10, 9, 14], [22, 20, 33]]
PRINTED_WEIGHTS = [0.35, 0.30, 0.35]


def shown(row: Sequence[float]) -> str:
    """Whole numbers as they are, others with four digits."""
    return "  ".join(f"{each:6.0f}" if float(each).is_integer() else f"{each:6.4f}" for each in row)


def title(text: str) -> None:
    print(f"\n{text}\n{'-' * len(text)}")


def the_product() -> list[list[float]]:
    title("1. X M, a product of matrices")
    right = product(X, M)
    print("token   printed               right")
    for token, (printed, row) in enumerate(zip(PRINTED_PRODUCT, right, strict=True)):
        verdict = "as printed" if printed == row else "printed wrong"
        print(f"{token}     {shown(printed)}   {shown(row)}   {verdict}")
    terms = " + ".join(f"{x}*{row[1]}" for x, row in zip(X[0], M, strict=True))
    print(f"Token 0, second column: {terms} = {right[0][1]:.0f}, not {PRINTED_PRODUCT[0][1]}.")
    return right


def the_weights(right: list[list[float]]) -> None:
    title("2. softmax(X M / sqrt(3))")
    print(f"token 0, printed                       {shown(PRINTED_WEIGHTS)}")
    ways = {"right": right[0], "of the printed product": PRINTED_PRODUCT[0]}
    for name, row in ways.items():
        print(f"token 0, {name:<30}{shown(softmax([each / sqrt(3) for each in row]))}")
    print("Both products have one large number, so one weight is large; the printed row is nearly even.")
    print("All five rows, right:")
    for row in right:
        print(f"   {shown(softmax([each / sqrt(3) for each in row]))}")


def attention(
    name: str, why: str, score: Callable[[Sequence[float]], list[float]], normalizer: Normalizer = softmax
) -> None:
    """H asks, X is both keys and values."""
    title(name)
    print(why)
    print("state   weights over the tokens                  context")
    for state, row in enumerate(one_head(H, X, score=score, normalizer=normalizer)):
        print(f"{state}     {shown(row.weights)}   {shown(row.context)}")


def the_additive_products() -> None:
    title("6. The additive example")
    print(f"It multiplies a weight of {len(X)} x {len(X[0])} by a matrix of {len(X)} x {len(X[0])}: a row of the first")
    print(f"has {len(X[0])} numbers, a column of the second {len(X)}, so there is no such product.")
    print("Two scores do exist. The article's formula, with one number a feature, w_Q = (1, 1, 1), w_V = (0, 0, 1):")
    ones, last, none = [1.0, 1.0, 1.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]
    whole = softmax(biased_dot(H[0], X, X, of_query=ones, of_value=last))
    without = softmax(biased_dot(H[0], X, X, of_query=none, of_value=last))
    print(f"   state 0, weights                    {shown(whole)}")
    print(f"   state 0, weights with w_Q = 0       {shown(without)}")
    same = all(abs(a - b) < 1e-12 for a, b in zip(whole, without, strict=True))
    print(f"   the same to 12 digits               {'yes' if same else 'no'}")
    print("w_Q.q is the same for every token, and softmax does not see what all scores share.")
    maps = [[each / 50 for each in row] for row in M]
    scores = additive(H[0], X, of_query=maps, of_key=maps, weight=ones)
    print("Bahdanau's score w.tanh(q Q + k K), with Q = K = M / 50, w = (1, 1, 1):")
    print(f"   state 0, scores                     {shown(scores)}")
    print(f"   state 0, weights                    {shown(softmax(scores))}")


def main() -> None:
    print("Keys and values are the inputs X; the decoder states H ask.")
    the_weights(the_product())
    attention(
        "3. Scaled dot product: kind scaled_dot, scale 1/sqrt(3)",
        "Section 4.1.1 calls this dot-product attention, unscaled, and yet divides by sqrt(d_k).",
        lambda query: scaled_dot(query, X),
    )
    attention(
        "4. The scale applied twice: {kind: scaled_dot, scale: 0.3333333}",
        "Section 4.1.3 divides by sqrt(d_k) and multiplies by 1/sqrt(d_k) again; the weights come out flatter.",
        lambda query: scaled_dot(query, X, scale=1 / 3),
    )
    attention(
        "5. Plain normalization: score dot, normalizer sum",
        "Section 3.1.2 divides each product by their sum. That needs products that are not negative, as they are here.",
        lambda query: dot_product(query, X),
        plain_sum,
    )
    the_additive_products()


if __name__ == "__main__":
    main()
