"""The names under which readers look for things: the founding article's Chinese ones, and those of other tools."""

from collections.abc import Iterable

from attncli.spec.words import nearest, ours

CHINESE: dict[str, tuple[str, ...]] = {
    "加性注意力": ("additive", "biased_dot"),
    "点积注意力": ("dot", "scaled_dot"),
    "缩放点积注意力": ("scaled_dot",),
    "余弦相似度": ("score.cosine",),
    "双线性注意力": ("general",),
    "位置注意力": ("location",),
    "线性注意力": ("attention.linear",),
    "差分注意力": ("differential",),
    "局部注意力": ("window", "predicted"),
    "滑动窗口注意力": ("window",),
    "全局注意力": ("global",),
    "软注意力": ("softmax",),
    "硬注意力": ("hard",),
    "稀疏注意力": ("sparsemax", "entmax"),
    "单调注意力": ("monotonic",),
    "覆盖机制": ("coverage",),
    "指针网络": ("pointer_generator",),
    "对齐模型": ("score",),
    "注意力权重": ("normalizer",),
    "上下文向量": ("attention",),
    "查询": ("attention",),
    "键": ("attention",),
    "值": ("attention",),
    "注意力头": ("multi_head",),
    "相似度": ("score",),
    "归一化": ("normalizer",),
    "权重归一化": ("sum",),
    "软最大": ("softmax",),
    "注意力": ("attention",),
    "注意力机制": ("attention",),
    "多头注意力": ("multi_head",),
    "自注意力": ("self_attention",),
    "交叉注意力": ("cross_attention",),
    "掩码": ("mask",),
    "因果掩码": ("causal",),
    "位置编码": ("position",),
    "位置嵌入": ("position",),
    "旋转位置编码": ("rotary",),
    "正弦位置编码": ("sinusoidal",),
    "相对位置编码": ("shaw", "t5", "alibi"),
    "层归一化": ("layer_norm",),
    "前馈网络": ("feedforward",),
    "混合专家": ("experts",),
    "残差连接": ("residual",),
    "编码器": ("encoder",),
    "解码器": ("decoder",),
    "循环神经网络": ("recurrent",),
    "门控循环单元": ("gru",),
    "长短期记忆": ("lstm",),
    "教师强制": ("seq2seq",),
    "序列到序列": ("seq2seq",),
    "机器翻译": ("seq2seq",),
    "语言模型": ("language_model",),
    "掩码语言模型": ("masked_language_model",),
    "文本分类": ("classification",),
    "情感分析": ("classification",),
    "序列标注": ("tagging",),
    "命名实体识别": ("tagging",),
    "池化": ("pooling",),
    "词嵌入": ("input",),
    "分词器": ("tokenizer",),
    "优化器": ("optimizer",),
    "学习率": ("learning_rate",),
    "标签平滑": ("label_smoothing",),
    "束搜索": ("beam",),
    "贪心搜索": ("greedy",),
    "采样": ("sample",),
    "丢弃": ("dropout",),
}
"""The article's names, and what is explained under each, with its role where the word has several meanings. A name may
be shortened: 缩放点积, 多头."""

CONCEPTS = ("mask", "self_attention")
"""Explained, though they are no key and no kind."""


def chinese_of(name: str, role: str = "") -> tuple[str, ...]:
    """The Chinese names that lead to it, or to the kind of that name in a role."""
    return tuple(word for word, names in CHINESE.items() if name in names or f"{role}.{name}" in names)


def in_chinese(word: str) -> tuple[str, ...]:
    """What a Chinese name, whole or shortened, leads to; nothing where none fits."""
    if word in CHINESE:
        return CHINESE[word]
    if word.isascii():
        return ()
    longer = [name for name in CHINESE if word in name]
    return CHINESE[min(longer, key=len)] if longer else ()


def meant(word: str, known: Iterable[str]) -> str | None:
    """What a word that is not known was probably meant to be."""
    choices = list(known)
    if not word.isascii():
        shared = {name: len(set(word) & set(name)) / len(set(word) | set(name)) for name in CHINESE}
        best = max(shared, key=lambda name: shared[name])
        return best if shared[best] > 0.3 else None
    return ours(word, choices) or nearest(word, choices)
