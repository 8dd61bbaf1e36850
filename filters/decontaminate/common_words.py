"""Lists common words, which say little about a text. A match of a common word counts one tenth of a match of a rare
word.

An evaluation set can be too small to show which words are common in its language, so this module lists them. The list
contains the function words of English, and of other languages in which many evaluation sets are written. It also
contains words that are typical of questions.
"""

from __future__ import annotations

_TEXT = """
    the of and to a in is that for it as was with be by on not he his but at are this have from or had an they which you
    one we all her she there would their him been has when who will no more if out so what up its about than into them
    can only other time new some could these two may first then do any like my now over such our man me even most made
    after also did many off before must well back through years much where your way down should because long each just
    state those people too mr how little good world make very year still see own work men day get here old between both
    life being under three never know same last another while us might great go come since against right came take used
    himself few use during without again place around however home small found thought went say part once general high
    upon school every don t s m re ve ll d does got united left number course war until always away something fact
    following answer question questions choose correct best true false option options statement statements given find
    calculate let below above blank sentence passage text according example write function return returns def list
    de la le les des et en un une du que qui est dans pour pas par sur au avec il elle ne se ce son sa ses ou
    el los las y del se por con para una su al lo como mas pero sus este esta es si no
    der die das und ist nicht von den mit zu dem des auf fur ein eine im sich auch als an es er sie wie oder aus bei
    o os da do em um uma nao com para mais dos das como il di che e per non della sono con una
    i w na z do sie nie to jest ze een van het dat op te
    и в не на что с по как это он к из у за то
    的 了 是 在 和 不 有 我 他 这 中 一 人 为 の に は を た が で と し て
"""

COMMON_WORDS = frozenset(_TEXT.split())
