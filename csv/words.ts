/** Names of people and organisations, all invented or common; none is meant to be anybody. */

function words(text: string): readonly string[] {
  return text.trim().split(/\s+/);
}

/** Given names, lower-case ASCII. */
export const GIVEN_NAMES = words(`
  abena adaeze agnieszka aiko alasdair alejandra amadou amira anders andrea aneta anjali antoine aoife arjun
  astrid ayesha beatriz bogdan bronwyn camille carlos catalina chiara chidi claire conor dagny daniel daria
  deepa diego dmitri ebba efua elena elif emeka emil enzo esther fatima felix fionn freya gabriel giulia grace
  greta hadiza hannah haruto helga henrik hugo ibrahim ilse imani ines ingrid isaac ivana jakub jamila jasper
  jelena joana jonas josefa juan julia kaito kalinda karim katarzyna kenji khadija kofi lars laszlo leila
  liam linh lorenzo lucia magnus malik mara marcus mariana marek mateo maya mei mehmet mila minh miriam nadia
  naomi nikhil nina noor oksana olga oluwaseun omar oscar paolo petra piotr priya rafael rania ravi rhys
  rosa ruth saga samir sanne sara selma sina sofia soren tariq tatiana tereza thandi theo tomasz uma valeria
  vera viktor wanjiru wei yara yasmin yuki yusuf zara zeynep zoltan zuzana
`);

/** Surnames, lower-case ASCII. */
export const SURNAMES = words(`
  abara acheampong adeyemi aguilar akintola almeida amsel andersson arslan azevedo baptiste barros bauer
  becker bello benali berg bianchi bielak blom borges boateng brennan burke byrne castro cermak chaudhry chen
  cisse conti costa dahl danso delgado demir diallo dlamini dubois dvorak eriksen esposito farah ferrari
  fischer fournier fujita galvez garnier gonzalez greco gupta haddad hakala halloran hansen haugen hernandez
  hoang horvath hughes ibarra ito iyer jansen jensen jimenez joshi kaplan kariuki kaya keane kim kimura klein
  kovacs kowalczyk kraus kruger kumar laine larsen laurent lefevre leung lindqvist lopes macleod madsen mahlangu
  marin martens mbeki medina mensah meyer molnar moreau moreno mori mukherjee murray mwangi nakamura navarro
  ndiaye nguyen nilsen novak nowak obi odhiambo okafor okoro olsen ortega osei otieno owusu pappas pereira
  petrov pham popescu prasad quinn rahman ramos reyes ricci rojas romano rossi ruiz saito salazar sandoval santos
  sato schmid schulz sharma silva simic singh sokolov sorensen suzuki svensson szabo takeda tanaka teixeira
  thapa thorne tran traore turan vargas varga vasquez vermeer virtanen vogel wagner walsh wang weber wieczorek
  wolff wojcik yamada yilmaz zhang zhou
`);

/** First halves of handles. */
export const HANDLE_HEADS = words(`
  tiny late night paper soft static copper velvet salty plain lazy north second spare borrowed pocket rainy
  sleepy analog lunar mossy crisp midnight tin wool cobalt ginger marble hollow quick odd left loud nimble
  sunday frosty rusty pickled
`);

/** Second halves of handles. */
export const HANDLE_TAILS = words(`
  otter teapot badger postcard lantern cyclist semicolon biscuit heron notebook kettle magpie tram pixel
  accordion raccoon cardigan compass puffin radish sparrow umbrella typewriter walrus bagel commuter crayon
  dumpling ferret hedgehog librarian mango octopus pancake pigeon spanner turnip violin zeppelin gardener
`);

/** What an organisation's shared account is for. */
export const TEAMS = words(`
  press docs events marketing jobs support ops social studio labs newsletter platform sales community
`);

/** Invented organisations: one ASCII word, so that the lower-case form is also a host label. */
export const ORGANISATIONS = words(`
  Alderway Bexlow Brightwater Calloway Cindergate Copperleaf Dovetail Dunmore Eastfold Emberly Fennimore
  Foxglade Glasswing Greywick Hallmere Hazelton Inkwell Ironbark Juniper Kestrelworks Kitebridge Larkspur
  Lindenhof Loomery Marrowby Millrace Northgate Oakhanger Oxbow Paperbark Pinnacle Quillon Redfern Rookery
  Saltmarsh Sedgewick Silverthorn Stonecrop Tallowmere Thistledown Umbra Vantage Wexcombe Wrenfield Yarrow Zephyrine
`);

/** The text with its first letter in upper case. */
export function capitalise(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
