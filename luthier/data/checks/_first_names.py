"""First names that are common in many countries, in lower case; those that are words as well are left out."""

from __future__ import annotations

from typing import Final

FIRST_NAMES: Final = frozenset(
    """
    aaron abdul abdullah abigail adam adele adrian agata agnes agnieszka ahmad ahmed aisha alan albert alberto
    alejandra alejandro aleksandra alessandro alex alexander alexandra alexis alfred ali alice alicia alina alison
    amanda amelia amina amir amit ana anastasia anders andrea andreas andrei andrew andrzej angela angelika anita
    anja anke ann anna anne annette annika antje anton antonia antonio anthony ananya arjun arthur arturo ashley
    astrid austin axel ayesha barbara bartosz beatrice beatriz ben benjamin bernard bernd bertha bianca bill birgit
    bob boris brandon brenda brian brigitte bruno camila camille carl carla carlo carlos carmen carol carolina
    caroline catherine cecilia charles charlotte chen chiara chidi chinwe chloe chris christian christina christine
    christoph christopher cindy claire clara claudia claudio connor cristina cynthia daniel daniela danielle david
    deborah deepak denis dennis diana diego dieter dimitri dmitri dominik donald donna dorothy dylan edith eduardo
    edward ekaterina elena eleanor elias elisa elisabeth elizabeth ella ellen elena emeka emil emily emma enrico
    eric erik erika ernst esther ethan eva evelyn fabian fatima federico felix fernando filip florian francesca
    francesco francisco frank franz frederic frederik friedrich gabriel gabriela gary george georg gerald gerhard
    giovanni giulia giuseppe gloria gonzalo greta guillaume gustav hannah hans harald harry hassan heather heike
    heinrich heinz helen helena helga henrik henry herbert hiroshi hugo hussein ian ibrahim ines ingrid irene irina
    isabel isabella ivan jacek jack jacob jacqueline jakob james jan jane janet janine jason javier jean jeffrey
    jennifer jens jessica jill joan joanna joao johan johann johanna john jonas jonathan jorge jose joseph josef
    joshua juan judith julia julian julie julien juliette jürgen justin kai karen karim karin karl karolina
    katarzyna katharina katherine kathleen kathrin katja kaveh keith kelly kenji kenneth kevin khalid kimberly klaus
    kofi krzysztof kumar kurt kwame laila lakshmi lars laura lauren laurent lea lena leila leon leonardo leonie liam
    linda lisa lorenzo louis louise luca lucas lucia luigi luis lukas łukasz magdalena mahmoud małgorzata manfred
    manuel marc marcel marcin marco marcus margaret maria mariam marian marie marina mario marion mark marko markus
    marta martha martin martina mary mateusz mathieu matteo matthew matthias maurice max maximilian megan mehmet mei
    melanie melissa mia michael michał michel michelle miguel mikhail min miriam mohamed mohammad mohammed mona
    monica monika monique mustafa nadia nadine nancy naomi natalia natalie natasha nathan nele ngozi nicholas nicola
    nicolas nicole niklas nikolai nina noah noor nora norbert oksana olaf ole oleg olga oliver olivia olu omar oscar
    oskar otto pablo paolo pascal patricia patrick paul paula paulina pavel pawel pedro peter petra philip philipp
    philippe pierre piotr priya rachel rafael rahul rainer raj ralf ralph ramon raphael rashid raul ravi rebecca
    regina renate rené ricardo richard rita robert roberto robin roland rolf romain roman ronald rosa roxana rudolf
    ruth ryan sabine sabrina salma samantha samuel sandra sanjay santiago sara sarah sebastian sergei sergey sergio
    sharon shreya silvia simon simone sofia sonja sophia sophie stanisław stefan stefanie stephan stephanie stephen
    steven sunita susan susanne sven svetlana sylvia takashi tamara tania tanja tariq tatiana teresa theo theresa
    thomas thorsten tim timothy tobias tom tomás tomasz tommaso torsten tyler ulrich ulrike ursula ute uwe valentina
    valeria vanessa vera verena veronica victor victoria vijay viktor vincent virginia vladimir walter wang wei
    werner wiebke wilhelm william wolfgang xavier yan yasmin yasmina ying yolanda youssef yuki yusuf yvonne zainab
    zhang zoe zofia
    """.split()  # noqa: SIM905
)
